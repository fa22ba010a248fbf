"""Who has to wait for whom inside this daemon.

Git guards its files with lock files and fails when one is taken, so that two of our own
commands must not meet there: whoever registers worktrees or moves a checked-out branch holds the
repository (its shared git folder), whoever changes a working tree holds its path. Other
programs' git is met with the retries in process.py and merging.py instead.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from weakref import WeakValueDictionary


class Locks:
    """One asyncio lock a name, kept only while somebody holds or awaits it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def hold(self, *names: str) -> AsyncGenerator[None]:
        """Hold all of them. They are taken in one order everywhere, so nobody waits in a circle."""
        async with contextlib.AsyncExitStack() as held:
            for name in sorted(set(names)):
                await held.enter_async_context(self._lock(name))
            yield

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())
