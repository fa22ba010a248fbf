"""Plays a run's recording on this terminal, in its own time or faster.

The terminal is left as a program should leave it: colours off, cursor on, main screen,
no mouse and no bracketed paste, also when the replay is interrupted.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Final

from moduprompt.cli.recordings import fetched
from moduprompt.effects.runner.recording import Output, RecordingReader
from moduprompt.protocol import SECOND

PAUSE_MAX_S: Final = 2.0  # an agent thinks for minutes; nobody wants to watch that again
RESTORE: Final = (
    b"\x1b[0m\x1b[?25h\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\r\n"
)


async def replay(recording: AsyncGenerator[bytes], *, speed: float | None) -> None:
    """Print the recording's output; without a speed, all at once. Raises CallFailed for what is none."""
    async with fetched(recording) as reader:
        await _play(reader, speed)


async def _play(reader: RecordingReader, speed: float | None) -> None:
    screen = sys.stdout.buffer
    last_us = 0
    try:
        for frame in reader.frames():
            if not isinstance(frame, Output):
                continue
            if speed is not None:
                screen.flush()
                await asyncio.sleep(min(PAUSE_MAX_S, (frame.time_us - last_us) / SECOND / speed))
            last_us = frame.time_us
            screen.write(frame.data)
    finally:
        if sys.stdout.isatty():
            screen.write(RESTORE)
        screen.flush()
