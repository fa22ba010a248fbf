"""Follows a stream of events and keeps a show up to date, never faster than an eye follows.

Bursts become one repaint; the last event is always shown. A change of the terminal's
size repaints too.
"""

import asyncio
import signal
from collections.abc import AsyncIterable
from typing import Final

from moduprompt.cli.live.shows import Show
from moduprompt.protocol import EventEnvelope

FRAME_S: Final = 0.04  # 25 pictures a second: motion to the eye, little to the processor


async def watch(events: AsyncIterable[EventEnvelope], show: Show) -> None:
    """Show the events until they end or the task is cancelled; the show is entered and left here.

    What the show was told before is shown at once.

    Raises what the stream raises, and OSError when nobody can be shown anything any more.
    """
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    with show:
        loop.add_signal_handler(signal.SIGWINCH, changed.set)
        try:
            show.refresh()
            async with asyncio.TaskGroup() as group:
                refreshing = group.create_task(_refresh(show, changed))
                async for envelope in events:
                    show.tell(envelope)
                    changed.set()
                refreshing.cancel()
        except BaseExceptionGroup as faults:
            raise faults.exceptions[0] from None  # one reader, one show: there is one fault
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
        show.refresh()


async def _refresh(show: Show, changed: asyncio.Event) -> None:
    while True:
        await changed.wait()
        changed.clear()
        show.refresh()
        await asyncio.sleep(FRAME_S)
