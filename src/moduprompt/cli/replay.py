"""Plays a run's recording on this terminal, in its own time or faster.

The terminal is left as a program should leave it: colours off, cursor on, main screen, no mouse and no bracketed
paste, keys as bytes again, no word about focus or colours; also when the replay is interrupted, and in the middle of
what a program was saying.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Final

from moduprompt.cli.recordings import fetched
from moduprompt.effects.runner.recording import Output, RecordingReader
from moduprompt.protocol import SECOND

PAUSE_MAX_S: Final = 2.0  # an agent thinks for minutes; nobody wants to watch that again
_END_OF_STRING: Final = b"\x1b\\"  # of a title or a link that was being said
_OFF: Final = (2026, 1000, 1002, 1003, 1005, 1006, 1015, 1004, 2004, 2031, 5, 1)  # and each is off at first
_KEYS_AS_BYTES: Final = b"\x1b[<99u\x1b[>4;0m"  # both ways of naming them; each screen keeps its own
RESTORE: Final = (
    _END_OF_STRING
    + b"".join(b"\x1b[?%dl" % mode for mode in _OFF)
    + _KEYS_AS_BYTES
    + b"\x1b[?1049l"
    + _KEYS_AS_BYTES
    + b"\x1b]8;;\x1b\\\x1b(B\x0f\x1b>\x1b[?7h\x1b[4l\x1b7\x1b[r\x1b8\x1b[0 q\x1b[?25h\x1b[0m\r\n"
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
