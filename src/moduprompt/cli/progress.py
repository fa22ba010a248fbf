"""One line on standard error that says what is being waited for, when that takes longer than a second.

Only for a person at a terminal; it is gone when the wait is over.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

QUIET_S: Final = 1.0  # what is shorter needs no excuse
CLEAR: Final = "\r\x1b[2K"


@asynccontextmanager
async def waiting_for(what: str) -> AsyncGenerator[None]:
    """Tell what is waited for while the body runs."""
    if not sys.stderr.isatty():
        yield
        return
    teller = asyncio.create_task(_tell(what))
    try:
        yield
    finally:
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)


async def _tell(what: str) -> None:
    seconds = 0
    try:
        while True:
            await asyncio.sleep(QUIET_S)
            seconds += 1
            sys.stderr.write(f"{CLEAR}{what} … {seconds} s")
            sys.stderr.flush()
    finally:
        if seconds:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()
