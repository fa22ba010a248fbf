"""Idempotency keys in use: uses of one key by one actor go one after another.

A key stays taken until what was decided under it is durable or given up, even when the
one who asked has gone away meanwhile. So none slips between the look-up and the write.
"""

import asyncio
from collections import deque
from typing import TypeAlias

from moduprompt.protocol import Actor

_Name: TypeAlias = tuple[str, str, str]
_Turn: TypeAlias = "asyncio.Future[None]"


class Hold:
    """One use of a key, over when its user has left and nothing asked under it is undecided.

    Mutable on purpose: it lives for one request and is seen by one task and the writer.
    """

    def __init__(self, keys: "KeysInUse", name: _Name | None) -> None:
        self._keys = keys
        self._name = name
        self._undecided = 0
        self._left = False

    def await_decision(self) -> None:
        """Something was asked under the key; `decided` must follow."""
        self._undecided += 1

    def decided(self) -> None:
        """What was asked is durable or given up."""
        self._undecided -= 1
        self._release_when_over()

    def leave(self) -> None:
        """Whoever used the key has its answer, or waits no longer."""
        self._left = True
        self._release_when_over()

    def _release_when_over(self) -> None:
        if self._left and not self._undecided and self._name is not None:
            self._keys.release(self._name)
            self._name = None


class KeysInUse:
    """Who uses which key at this moment, and who waits for it."""

    def __init__(self) -> None:
        self._turns: dict[_Name, deque[_Turn]] = {}

    def __len__(self) -> int:
        return len(self._turns)

    async def take(self, actor: Actor, key: str | None) -> Hold:
        """Wait for the uses before; what has no key waits for nobody. `leave` the hold afterwards."""
        if key is None:
            return Hold(self, None)
        name = (actor.kind, actor.id, key)
        waiting = self._turns.get(name)
        if waiting is None:
            self._turns[name] = deque()
            return Hold(self, name)
        turn: _Turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the key came just as we stopped waiting for it
                self.release(name)
            raise
        return Hold(self, name)

    def release(self, name: _Name) -> None:
        """The next one's turn."""
        waiting = self._turns[name]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():  # who waits no longer is passed over
                turn.set_result(None)
                return
        del self._turns[name]
