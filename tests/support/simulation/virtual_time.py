"""An event loop whose time is made up: it jumps to the next thing that is due, and never waits.

Everything that happens in it is decided by the program alone, so the same seed gives the
same run. When nothing is ready and nothing is due, somebody waits for what never comes:
that is a `Stuck`, where a real loop would hang.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from moduprompt.protocol import SECOND, Micros
from tests.support.domain import NOW

T = TypeVar("T")
TURNS_MAX: Final = 500_000  # of one run; ten times what a life of power cuts takes; more is a circle


class Stuck(Exception):
    """Nothing can ever happen again, and the run has not ended."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Counts its turns, and tells `on_turn` before each."""

    def __init__(self) -> None:
        self.turns = 0
        self.on_turn: Callable[[int], None] = _nothing
        self._elapsed_s = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Seconds of made-up time since the loop began."""
        return self._elapsed_s

    def jump(self, seconds: float | None) -> None:
        """The loop has nothing to do for so long."""
        self.turns += 1
        if seconds is None:
            raise Stuck(f"after {self.turns} turns everybody waits, and for nothing")
        if self.turns > TURNS_MAX:
            raise Stuck(f"{self.turns} turns have led nowhere")
        self._elapsed_s += max(0.0, seconds)
        self.on_turn(self.turns)


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.jump(timeout)
        return []


class VirtualClock:
    """The kernel's clock on a virtual loop; `set_back` is what an administrator does to it."""

    def __init__(self, at: Micros = NOW) -> None:
        self._zero = at

    def now(self) -> Micros:
        """Microseconds since 1970."""
        return Micros(self._zero + round(asyncio.get_running_loop().time() * SECOND))

    async def sleep(self, seconds: float) -> None:
        """As the kernel asks for it."""
        await self.pass_by(seconds)

    async def pass_by(self, seconds: float) -> None:
        """So much made-up time: no wait for anything real, hence no race."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        handle = loop.call_later(seconds, lambda: over.done() or over.set_result(None))
        try:
            await over
        finally:
            handle.cancel()

    def set_back(self, seconds: float) -> None:
        """The clock shows an earlier time from now on."""
        self._zero = Micros(self._zero - round(seconds * SECOND))


def run_virtually(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run to the end, in made-up time."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))


def _nothing(_turn: int) -> None:
    return
