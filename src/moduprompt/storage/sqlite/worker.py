"""A thread that owns one connection, so that the event loop never waits for a disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Worker:
    """Runs functions one after another in a thread of its own.

    A store takes the class it makes its workers from, so that a simulation can say when work is done.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """The function's result. Once begun it runs to its end, whoever stops waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def stop(self) -> None:
        """Wait for what runs, take nothing more; stopping twice is fine."""
        self._pool.shutdown(wait=True)
