"""Due times, fired once each.

Timers are not stored: they derive from state, and are derived again when a workspace
is loaded. Of one that is not loaded it is only known when its first timer is due: then it is
loaded, and has its timers. A timer's name is the idempotency key of the command it fires, so
firing it twice, or late, or after its reason went away, decides nothing.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from typing import Final

from moduprompt.domain.decider import Timer
from moduprompt.kernel.judgement import Wanted
from moduprompt.kernel.ports import Clock
from moduprompt.protocol import SECOND, Micros, Subject, WorkspaceId

SLEEP_S_MAX: Final = 60.0  # look at the clock that often: it may be set while we sleep
AGAIN_S: Final = 5  # after a firing that could not be written


class Timers:
    """A heap of what is due, and the task that waits for it."""

    def __init__(
        self,
        clock: Clock,
        *,
        fire: Callable[[Timer], Awaitable[bool]],
        load: Callable[[WorkspaceId], Awaitable[bool]],
    ) -> None:
        self._clock = clock
        self._fire = fire
        self._load = load
        self._due: list[tuple[int, str]] = []
        self._timers: dict[str, Timer] = {}
        self._of: dict[Subject, frozenset[str]] = {}
        self._first: dict[WorkspaceId, list[tuple[int, str]]] = {}  # as `_due`, of each workspace
        self._expected: dict[str, WorkspaceId] = {}  # not loaded; by a name that no timer has
        self._changed = asyncio.Event()

    def update(self, wanted: Wanted) -> None:
        """One aggregate's due times are these now."""
        names = frozenset(timer.name for timer in wanted.timers)
        for gone in self._of.get(wanted.subject, frozenset()) - names:
            self._timers.pop(gone, None)
        for timer in wanted.timers:
            if timer.name not in self._timers:
                self._timers[timer.name] = timer
                self._push(timer.due_at, timer.name)
                first = self._first.setdefault(timer.command.workspace_id, [])
                heapq.heappush(first, (timer.due_at, timer.name))
        if names:
            self._of[wanted.subject] = names
        else:
            self._of.pop(wanted.subject, None)

    def expect(self, workspace_id: WorkspaceId, due_at: Micros) -> None:
        """Of a workspace that is not loaded the first timer is due then."""
        self._expected[workspace_id] = workspace_id
        self._push(due_at, workspace_id)

    def first_due(self, workspace_id: WorkspaceId) -> Micros | None:
        """When the first timer of a loaded workspace is due; None where there is none."""
        first = self._first.get(workspace_id, [])
        while first and first[0][1] not in self._timers:
            heapq.heappop(first)
        if first:
            return Micros(first[0][0])
        self._first.pop(workspace_id, None)
        return None

    async def run(self) -> None:
        """Fire what is due, for ever."""
        while True:
            self._changed.clear()
            wait = self._next_wait()
            if wait is None or wait > 0:
                await self._sleep(SLEEP_S_MAX if wait is None else min(wait, SLEEP_S_MAX))
                continue
            _, name = heapq.heappop(self._due)
            # It stays known while it fires, so that nobody who derives it again makes it fire at once.
            if await self._act(name):
                self._timers.pop(name, None)
                self._expected.pop(name, None)
            elif self._is_known(name):
                heapq.heappush(self._due, (self._clock.now() + AGAIN_S * SECOND, name))

    async def _act(self, name: str) -> bool:
        unloaded = self._expected.get(name)
        return await self._fire(self._timers[name]) if unloaded is None else await self._load(unloaded)

    def _push(self, due_at: int, name: str) -> None:
        heapq.heappush(self._due, (due_at, name))
        self._changed.set()

    def _is_known(self, name: str) -> bool:
        return name in self._timers or name in self._expected

    def _next_wait(self) -> float | None:
        while self._due and not self._is_known(self._due[0][1]):
            heapq.heappop(self._due)
        if not self._due:
            return None
        return (self._due[0][0] - self._clock.now()) / SECOND

    async def _sleep(self, seconds: float) -> None:
        sleeping = asyncio.create_task(self._clock.sleep(seconds), name="timer-sleep")
        changed = asyncio.create_task(self._changed.wait(), name="timer-changed")
        try:
            await asyncio.wait({sleeping, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            changed.cancel()
