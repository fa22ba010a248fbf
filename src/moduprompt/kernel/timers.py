"""Due times, fired once each.

Timers are not stored: they derive from state, and are derived again when a workspace
is loaded. A timer's name is the idempotency key of the command it fires, so firing it
twice, or late, or after its reason went away, decides nothing.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from typing import Final

from moduprompt.domain.decider import Timer
from moduprompt.kernel.judgement import Wanted
from moduprompt.kernel.ports import Clock
from moduprompt.protocol import SECOND, Subject

SLEEP_S_MAX: Final = 60.0  # look at the clock that often: it may be set while we sleep
AGAIN_S: Final = 5  # after a firing that could not be written


class Timers:
    """A heap of what is due, and the task that waits for it."""

    def __init__(self, clock: Clock, *, fire: Callable[[Timer], Awaitable[bool]]) -> None:
        self._clock = clock
        self._fire = fire
        self._due: list[tuple[int, str]] = []
        self._timers: dict[str, Timer] = {}
        self._of: dict[Subject, frozenset[str]] = {}
        self._changed = asyncio.Event()

    def update(self, wanted: Wanted) -> None:
        """One aggregate's due times are these now."""
        names = frozenset(timer.name for timer in wanted.timers)
        for gone in self._of.get(wanted.subject, frozenset()) - names:
            self._timers.pop(gone, None)
        for timer in wanted.timers:
            if timer.name not in self._timers:
                self._timers[timer.name] = timer
                heapq.heappush(self._due, (timer.due_at, timer.name))
                self._changed.set()
        if names:
            self._of[wanted.subject] = names
        else:
            self._of.pop(wanted.subject, None)

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
            if await self._fire(self._timers[name]):
                self._timers.pop(name, None)
            elif name in self._timers:
                heapq.heappush(self._due, (self._clock.now() + AGAIN_S * SECOND, name))

    def _next_wait(self) -> float | None:
        while self._due and self._due[0][1] not in self._timers:
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
