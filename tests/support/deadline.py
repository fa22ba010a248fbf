"""Waiting for a condition that nothing signals, with an end to the patience."""

import asyncio
import time
from collections.abc import Awaitable, Callable

LOOK_AGAIN_S = 0.01
HANG_S = 60.0  # of what takes a moment: only a hang takes so long, also on a machine that has much else to do
TURNS = 200  # of the event loop: enough for everything that waits for nothing but each other


def eventually(holds: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Return when the condition holds; fail when it doesn't in time."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(LOOK_AGAIN_S)


async def eventually_async(holds: Callable[[], Awaitable[bool]], *, within_s: float = 30.0) -> None:
    """The same without holding up the event loop."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - nothing signals, that is what this is for
            await asyncio.sleep(LOOK_AGAIN_S)


async def turns(number: int = TURNS) -> None:
    """Let everything happen in this loop that waits for neither time nor a thread."""
    for _ in range(number):
        await asyncio.sleep(0)
