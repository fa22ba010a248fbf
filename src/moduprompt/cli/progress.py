"""One line on standard error that says what is being waited for, when that takes longer than a second.

Only for a person at a terminal; it is gone when the wait is over.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

T = TypeVar("T")

QUIET_S: Final = 1.0  # what is shorter needs no excuse
CLEAR: Final = "\r\x1b[2K"


@asynccontextmanager
async def waiting_for(what: str | Callable[[], str]) -> AsyncGenerator[None]:
    """Tell what is waited for while the body runs; a function is asked each second."""
    if not sys.stderr.isatty():
        yield
        return
    teller = asyncio.create_task(_tell(what))
    try:
        yield
    finally:
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)


class Doing:
    """What is being done at this moment, for `waiting_for`."""

    def __init__(self, what: str) -> None:
        self._what = what

    def tell(self, what: str) -> None:
        """From now on this."""
        self._what = what

    def said(self) -> str:
        """In words."""
        return self._what


async def in_thread(work: Callable[[Callable[[str, int, int], None]], T], *, what: str) -> T:
    """The result of work that says how far it is, told while it lasts. An interrupt ends it at its next word."""
    now, is_ended = what, threading.Event()

    def told(doing: str, done: int, total: int) -> None:
        nonlocal now
        if is_ended.is_set():
            raise asyncio.CancelledError
        now = f"{doing}: {100 * done // max(total, 1)} %"

    async with waiting_for(lambda: now):
        running = asyncio.create_task(asyncio.to_thread(work, told))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            is_ended.set()
            await asyncio.gather(running, return_exceptions=True)
            raise


async def _tell(what: str | Callable[[], str]) -> None:
    seconds = 0
    try:
        while True:
            await asyncio.sleep(QUIET_S)
            seconds += 1
            sys.stderr.write(f"{CLEAR}{what if isinstance(what, str) else what()} … {seconds} s")
            sys.stderr.flush()
    finally:
        if seconds:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()
