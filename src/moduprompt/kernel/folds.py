"""A few results of long folds, kept for whoever asks for the same again.

Each is made once, however many ask for it at the same time, and only so many are made at
once: whoever comes then is told to come again. What was used longest ago goes first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Generic, TypeVar

from moduprompt.protocol import Code, Refused, refusal

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Room:
    """Places for work that goes on at the same time; nobody queues for one."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._places = places

    @contextmanager
    def place(self) -> Generator[None]:
        """One of them, while the body runs. Raises Refused (`unavailable`) where all are taken."""
        if self._free == 0:
            raise Refused(
                refusal(
                    Code.UNAVAILABLE,
                    f"{self._places} reads of the past are being folded already",
                    hint="ask again shortly",
                    details={"reason": "past_busy"},
                )
            )
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class Folds(Generic[K, T]):
    """Results by their names, bounded in number and in weight; the newest one stays, whatever it weighs."""

    def __init__(self, room: Room, *, weigh: Callable[[T], int], entries_max: int, weight_max: int) -> None:
        self._room = room
        self._weigh = weigh
        self._entries_max = entries_max
        self._weight_max = weight_max
        self._kept: dict[K, T] = {}  # the one used longest ago first
        self._making: dict[K, asyncio.Event] = {}

    def kept(self) -> dict[K, T]:
        """What there is, the one used longest ago first."""
        return dict(self._kept)

    def weight(self) -> int:
        """Of all that is kept."""
        return sum(map(self._weigh, self._kept.values()))

    async def get(self, key: K, make: Callable[[], Awaitable[T]]) -> T:
        """The one of this name, made if need be. Raises Refused (`unavailable`), or what `make` raises."""
        while key not in self._kept:
            made_elsewhere = self._making.get(key)
            if made_elsewhere is None:
                return await self._make(key, make)
            await made_elsewhere.wait()  # it may have failed, or be gone again: look once more
        found = self._kept.pop(key)
        self._kept[key] = found
        return found

    async def _make(self, key: K, make: Callable[[], Awaitable[T]]) -> T:
        with self._room.place():
            done = self._making[key] = asyncio.Event()
            try:
                made = await make()
            finally:
                del self._making[key]
                done.set()
        self._kept[key] = made
        while len(self._kept) > 1 and self._is_too_much():
            del self._kept[next(iter(self._kept))]
        return made

    def _is_too_much(self) -> bool:
        return len(self._kept) > self._entries_max or self.weight() > self._weight_max
