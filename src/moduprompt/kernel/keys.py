"""Idempotency keys in use: uses of one key by one actor go one after another.

A key stays taken until what was decided under it is durable or given up, even when the
one who asked has gone away meanwhile. So none slips between the look-up and the write.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeAlias

from moduprompt.kernel.judgement import Judged
from moduprompt.protocol import Actor

_Name: TypeAlias = tuple[str, str, str]


class Hold:
    """One use of a key. `settles` is the answer that must come before the next use.

    Mutable on purpose: it lives for one request and is seen by one task.
    """

    def __init__(self) -> None:
        self.settles: asyncio.Future[Judged] | None = None


class _Queue:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class KeysInUse:
    """Who uses which key at this moment."""

    def __init__(self) -> None:
        self._queues: dict[_Name, _Queue] = {}

    def __len__(self) -> int:
        return len(self._queues)

    @asynccontextmanager
    async def held(self, actor: Actor, key: str | None) -> AsyncGenerator[Hold]:
        """Wait for the uses before; what has no key waits for nobody."""
        hold = Hold()
        if key is None:
            yield hold
            return
        name = (actor.kind, actor.id, key)
        queue = self._queues.setdefault(name, _Queue())
        queue.users += 1
        try:
            await queue.lock.acquire()
        except BaseException:
            self._leave(name, queue)
            raise
        try:
            yield hold
        finally:
            if hold.settles is None or hold.settles.done():
                self._release(name, queue)
            else:
                hold.settles.add_done_callback(lambda _: self._release(name, queue))

    def _release(self, name: _Name, queue: _Queue) -> None:
        queue.lock.release()
        self._leave(name, queue)

    def _leave(self, name: _Name, queue: _Queue) -> None:
        queue.users -= 1
        if queue.users == 0:
            del self._queues[name]
