"""The daemon's memory of its start: which runs it expected, and what became of each.

Whoever finds something out tells it here; the answer of `GET /v1/recovery` is made from it. It is bounded,
it never decides anything, and a fate that was found stays: what happens to a run later is the log's to tell.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

from moduprompt.kernel.ports import Clock
from moduprompt.protocol import (
    Fate,
    MissingWorktree,
    RecoveredRun,
    Recovery,
    RunId,
    Stray,
    WorkspaceId,
    to_timestamp,
)

NAMED_MAX: Final = 1_000  # of each kind: more than a machine's runs; beyond it they are counted
OPEN: Final[frozenset[Fate]] = frozenset({"looking", "waiting", "unanswering"})  # may still become another
AS_HOPED: Final[frozenset[Fate]] = frozenset({"looking", "waiting", "reattached", "ended", "begun"})
T = TypeVar("T", RunId, Stray, MissingWorktree, str)


class StartMemory:
    """What one start found."""

    def __init__(self, *, version: str, clock: Clock) -> None:
        self._version = version
        self._clock = clock
        self._began = clock.now()
        self._runs: dict[RunId, RecoveredRun] = {}
        self._freed: list[RunId] = []
        self._strays: list[Stray] = []
        self._missing: list[MissingWorktree] = []
        self._not_compared: list[str] = []
        self._left_out = 0
        self._unnamed: dict[RunId, Fate] = {}  # runs for which there is no room: one word each
        self._is_expecting = False
        self._is_compared = False
        self._took_ms: int | None = None

    def expect(self, runs: Iterable[tuple[WorkspaceId, RunId]]) -> None:
        """These were live in the log. One whose fate was told already keeps it."""
        self._is_expecting = True
        for workspace_id, run_id in runs:
            if run_id not in self._runs and run_id not in self._unnamed:
                self._put(RecoveredRun(run_id=run_id, workspace_id=workspace_id, fate="looking"))

    def saw(self, found: RecoveredRun) -> None:
        """What became of a run. The first fate that is final stays. A run that only begins is none of
        this start's, unless it was expected; hands may be faster than `expect`."""
        known = self._fate(found.run_id)
        if known is None and self._is_expecting and found.fate in ("begun", "waiting"):
            return
        if known is None or known in OPEN:
            self._put(found)
        self._settle()

    def freed(self, run_ids: Iterable[RunId]) -> None:
        """Keepers that waited for an acknowledgement of an end that the log knows."""
        for run_id in run_ids:
            self._add(self._freed, run_id)

    def left_alone(self, stray: Stray) -> None:
        """Something that the log has no use for."""
        self._add(self._strays, stray)

    def misses(self, worktree: MissingWorktree) -> None:
        """A worktree that the disk has not."""
        self._add(self._missing, worktree)

    def could_not_compare(self, why: str) -> None:
        """A part that nobody can vouch for."""
        self._add(self._not_compared, why)

    def compared(self) -> None:
        """Log, processes and disk were compared once."""
        self._is_compared = True
        self._settle()

    def told(self) -> Recovery:
        """All of it, as far as it has come."""
        return Recovery(
            version=self._version,
            began_at=to_timestamp(self._began),
            runs=tuple(self._runs.values()),
            freed_keepers=tuple(self._freed),
            strays=tuple(self._strays),
            missing_worktrees=tuple(self._missing),
            left_out=self._left_out + len(self._unnamed),
            not_compared=tuple(self._not_compared),
            took_ms=self._took_ms,
        )

    def _fate(self, run_id: RunId) -> Fate | None:
        named = self._runs.get(run_id)
        return self._unnamed.get(run_id) if named is None else named.fate

    def _put(self, run: RecoveredRun) -> None:
        """Name it where there is room; of too many, those that people ask for: what is not as they hope."""
        if run.run_id in self._runs or len(self._runs) < NAMED_MAX:
            self._runs[run.run_id] = run
            return
        self._unnamed[run.run_id] = run.fate
        if run.fate not in AS_HOPED:
            gives_way = next((each for each in self._runs.values() if each.fate in AS_HOPED), None)
            if gives_way is not None:
                del self._runs[gives_way.run_id], self._unnamed[run.run_id]
                self._unnamed[gives_way.run_id] = gives_way.fate
                self._runs[run.run_id] = run

    def _add(self, to: list[T], one: T) -> None:
        if len(to) < NAMED_MAX:
            to.append(one)
        else:
            self._left_out += 1

    def _settle(self) -> None:
        if self._took_ms is not None or not self._is_compared:
            return
        fates = (*(run.fate for run in self._runs.values()), *self._unnamed.values())
        if "looking" not in fates:
            self._took_ms = max(0, self._clock.now() - self._began) // 1_000
