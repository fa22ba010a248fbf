"""Who does a store's work in a simulation: one piece after another, some turns of the loop late.

As with a thread, what is queued is done in order and to its end, whoever stops waiting;
unlike one, a seed says when. `WorkersOf.halt` is the end of the process: what was queued is
never done, and what comes after (letting go of files) is done at once.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final, TypeVar

from moduprompt.storage.sqlite.worker import Worker
from tests.support.deadline import turns

T = TypeVar("T")
TURNS_MAX: Final = 12  # of the loop, before a piece of work is done: enough for others to pile up


class WorkersOf:
    """Makes the workers of one process, from one seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.halted = False

    def __call__(self, name: str) -> "SeededWorker":
        """A worker; `Worker` takes the same."""
        return SeededWorker(name, process=self)

    def patience(self) -> int:
        """Turns until the next piece of work."""
        return self._rng.choice((0, 0, 1, 2, TURNS_MAX))

    def halt(self) -> None:
        """The process has gone."""
        self.halted = True


class SeededWorker(Worker):
    """Does what it is given in the loop itself."""

    def __init__(self, name: str, *, process: WorkersOf) -> None:
        self._name = name
        self._process = process
        self._in_order = asyncio.Lock()

    async def run(self, work: Callable[[], T]) -> T:
        """The function's result, some turns later."""
        if self._process.halted:
            return work()
        doing = asyncio.create_task(self._do(work), name=self._name)
        return await asyncio.shield(doing)

    def stop(self) -> None:
        """Nothing to let go of."""

    async def _do(self, work: Callable[[], T]) -> T:
        async with self._in_order:
            await turns(self._process.patience())
            if self._process.halted:
                raise asyncio.CancelledError
            return work()
