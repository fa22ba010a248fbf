"""Looks at one run while its keeper is heard: often while things change, seldom while they don't.

    changes ──0.1 s──> looks ──nothing new, ever longer──> once a second
                         └── waits for somebody ──> rests until something is recorded or typed

A run that waits for somebody goes on only when something is typed into it or when it prints, and both stand in
its recording: as long as that does not grow there is nothing to see. So hundreds that wait cost next to nothing.
One that goes on without a word (a read that timed out) is seen at the next look that comes in any case.

A program that tells what it does is looked at until its first word, and never again: no look knows better.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from moduprompt.domain.run.commands import ReportStatus
from moduprompt.domain.run.intents import KeepRun
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.status.facts import Seen
from moduprompt.effects.runner.status.onlooker import Onlooker, rules_of
from moduprompt.keeper.recording import RECORDING_NAME
from moduprompt.kernel.ports import Clock
from moduprompt.protocol import REASON_MAX, Refused, RunId
from moduprompt.storage.port import StorageFailed

LOOK_S: Final = 0.1  # between looks at a run whose picture has just changed
LOOK_S_MAX: Final = 1.0  # and at one that has long been the same
LOOK_GROWTH: Final = 1.5
CALM_S_MAX: Final = 5.0  # between glances at the recording's size of one that waits for somebody
ANYWAY_S: Final = 30.0  # it is looked at so often though nothing was recorded: its read may have timed out
CALM: Final = ("waiting_input", "blocked_on_permission", "idle")  # it waits for somebody

log = logging.getLogger(__name__)


class Looks:
    """Who looks at the runs of one daemon, and how soon again."""

    def __init__(
        self,
        reporter: Reporter,
        *,
        clock: Clock,
        run_dir: Callable[[str], Path],
        tells_itself: Callable[[str], bool],
    ) -> None:
        self._tells_itself = tells_itself
        self._reporter = reporter
        self._clock = clock
        self._run_dir = run_dir
        self._outdated: set[str] = set()  # of these, what was seen does not count any more
        self._resting: dict[str, asyncio.Future[None]] = {}

    def look_again(self, run_id: str) -> None:
        """Something was typed, or its start is known only now: what was seen before does not count."""
        self._outdated.add(run_id)
        self.wake(run_id)

    def wake(self, run_id: str) -> None:
        """A key was typed: look now, if it rests."""
        resting = self._resting.get(run_id)
        if resting is not None and not resting.done():
            resting.set_result(None)

    def forget(self, run_id: str) -> None:
        """Nobody looks at it any more."""
        self._outdated.discard(run_id)

    async def follow(self, intent: KeepRun, link: port.RunLink) -> None:
        """Observe it and report what is new, until the link breaks or whoever waits for this gives up."""
        last: Seen | None = None
        pause = LOOK_S
        run_dir = self._run_dir(intent.run_id)
        onlooker = Onlooker(link, run_dir=run_dir, program=rules_of(adapter=intent.adapter, argv=intent.argv))
        with contextlib.closing(onlooker), contextlib.suppress(port.LinkClosedError):
            while not self._tells_itself(intent.run_id):
                recorded = _recorded_bytes(run_dir)  # before the look: what comes after it is news
                seen = await onlooker.look()
                if intent.run_id in self._outdated:  # what was seen may be from before the answer
                    self._outdated.discard(intent.run_id)
                    last, pause = None, LOOK_S
                elif self._tells_itself(intent.run_id):  # it spoke while it was looked at
                    return
                elif seen is not None and (last is None or seen.status != last.status):
                    last, pause = (seen if await self._observed(intent, seen) else last), LOOK_S
                else:
                    pause = min(LOOK_S_MAX, pause * LOOK_GROWTH)
                if pause == LOOK_S_MAX and last is not None and last.status in CALM:
                    await self._rest_while_calm(intent.run_id, run_dir, recorded=recorded)
                else:
                    await self._rest(intent.run_id, pause)

    async def _rest_while_calm(self, run_id: RunId, run_dir: Path, *, recorded: int | None) -> None:
        """Until its recording has grown, a key was typed, or it is time in any case."""
        rested, nap = 0.0, LOOK_S_MAX
        while rested < ANYWAY_S:
            is_woken = await self._rest(run_id, nap)
            if is_woken or recorded is None or _recorded_bytes(run_dir) != recorded:
                return
            rested, nap = rested + nap, min(CALM_S_MAX, nap * LOOK_GROWTH)

    async def _rest(self, run_id: RunId, pause: float) -> bool:
        """So long, or until it is woken: then True."""
        if run_id in self._outdated:
            return True
        woken = self._resting[run_id] = asyncio.get_running_loop().create_future()
        nap = asyncio.create_task(self._clock.sleep(pause), name=f"rest {run_id}")
        try:
            await asyncio.wait((woken, nap), return_when=asyncio.FIRST_COMPLETED)
            return woken.done()
        finally:
            nap.cancel()
            del self._resting[run_id]

    async def _observed(self, intent: KeepRun, seen: Seen) -> bool:
        """Report it; False where the kernel could not take it now."""
        observed = ReportStatus(
            workspace_id=intent.workspace_id,
            run_id=intent.run_id,
            status=seen.status,
            rule=seen.rule,
            rule_version=seen.rule_version,
            evidence=seen.evidence[:REASON_MAX],
        )
        try:
            await report(self._reporter, observed, key=f"run/{intent.run_id}/seen/{self._clock.now()}")
        except (Refused, StorageFailed) as fault:
            log.warning("status.not_reported", extra={"run_id": intent.run_id, "why": str(fault)})
            return False
        return True


def _recorded_bytes(run_dir: Path) -> int | None:
    """How long its recording is; None where that can't be told."""
    try:
        return (run_dir / RECORDING_NAME).stat().st_size
    except OSError:
        return None
