"""Plays a run's recording on this terminal, in its own time or faster.

The terminal is left as a program should leave it: colours off, cursor on, main screen,
no mouse and no bracketed paste, also when the replay is interrupted.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from moduprompt.cli.faults import failed
from moduprompt.effects.runner.recording import Output, RecordingReader
from moduprompt.keeper.recording import RecordingError
from moduprompt.protocol import SECOND, Code

PAUSE_MAX_S: Final = 2.0  # an agent thinks for minutes; nobody wants to watch that again
RESTORE: Final = (
    b"\x1b[0m\x1b[?25h\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\r\n"
)


async def replay(recording: AsyncGenerator[bytes], *, speed: float | None) -> None:
    """Print the recording's output; without a speed, all at once. Raises CallFailed for what is none."""
    with tempfile.NamedTemporaryFile(prefix="mp-replay-") as copy:
        async with aclosing(recording):
            async for piece in recording:
                copy.write(piece)
        copy.flush()
        try:
            await _play(Path(copy.name), speed)
        except RecordingError as fault:
            raise failed(Code.UNKNOWN, f"the recording can't be read: {fault}") from fault


async def _play(path: Path, speed: float | None) -> None:
    screen = sys.stdout.buffer
    last_us = 0
    try:
        with RecordingReader(path) as reader:
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
