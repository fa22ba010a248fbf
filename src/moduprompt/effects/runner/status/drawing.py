"""Draws the screen of a living run from its recording, as it grows.

The keeper writes every byte before anybody is shown it, so the file is the truth and costs the keeper
nothing. Each look draws what has come since the last one. Who prints more than a look may draw is not
followed byte by byte: the screen is begun anew near the recording's end, as a full-screen program draws
itself again and again; what is passed over is looked through for modes and titles only. So a look has a
bound, whatever the program does, and the loop gets its turn between two slices.

The recording also has the keys, each where it was typed: so a key that answered a question that stood on the
screen is told from the first letter of a line. Of what is passed over that is not known, and it is taken for a line.
"""

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from moduprompt.effects.runner.status.facts import Sight
from moduprompt.effects.screen.screen import Screen
from moduprompt.keeper import recording as format_
from moduprompt.keeper.drafts import Draft

DRAWN_BYTES_MAX: Final = 128 * 1024  # 75 ms of work at the worst; agent programs print 1 to 10 kB a second
SLICE_BYTES: Final = 8 * 1024  # drawn in one go: 5 ms in which the daemon answers nobody
PASSED_BYTES: Final = 1024 * 1024  # looked through in one go, some milliseconds; longer than any frame

ROWS, COLS = 24, 80  # until the first frame, which says the size

# What outlives a picture: private modes that are set or reset, and titles.
_LASTING: Final = re.compile(rb"\x1b\[\?[0-9;]{1,40}[hl]|\x1b\][02];[^\x07\x1b]{0,1024}(?:\x07|\x1b\\)")
_AFRESH: Final = b"\x18\x1b[m\x1b[r\x1b[H\x1b[2J"  # ends what was cut in the middle, then an empty page


class Drawing:
    """One run's screen. For one caller at a time."""

    def __init__(self, recording: Path, *, asks: Callable[[Sight], bool] = lambda _: False) -> None:
        """`asks`: whether a screen shows a question."""
        self._fd = os.open(recording, os.O_RDONLY | os.O_CLOEXEC)
        self._position = format_.FIRST_FRAME
        self._screen = Screen(ROWS, COLS)
        self._asks = asks
        self._drafts: dict[str, Draft] = {}
        try:
            format_.read_start(self._fd)
        except format_.RecordingError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file. Once."""
        os.close(self._fd)

    async def follow(self) -> Sight:
        """Draw what has come until now, and say what stands there."""
        end = os.fstat(self._fd).st_size
        if end - self._position > DRAWN_BYTES_MAX:
            await self._pass_over(end - DRAWN_BYTES_MAX)
        drawn = 0
        for frame in format_.scan_frames(self._fd, start=self._position):
            self._position = frame.end
            for piece in self._pieces(frame):
                self._screen.feed(piece)
                drawn += len(piece)
                if drawn >= SLICE_BYTES:
                    drawn = 0
                    await asyncio.sleep(0)
            if self._position >= end:
                break
        drafts = frozenset(who for who, draft in self._drafts.items() if draft.author)
        return replace(sight_of(self._screen), drafts=drafts)

    def _typed(self, payload: bytes, *, is_drawn: bool) -> None:
        kind, author, keys = format_.unpack_input(payload)
        if kind == "user" and not (is_drawn and self._asks(sight_of(self._screen))):
            self._drafts.setdefault(author, Draft()).typed(keys, author)

    def _pieces(self, frame: format_.Frame) -> list[bytes]:
        if frame.kind == format_.RESIZE:
            self._screen.resize(*format_.unpack_size(frame.payload))
        if frame.kind == format_.INPUT:
            self._typed(frame.payload, is_drawn=True)
        if frame.kind != format_.OUTPUT:
            return []
        data = frame.payload
        return [data[at : at + SLICE_BYTES] for at in range(0, len(data), SLICE_BYTES)]

    async def _pass_over(self, target: int) -> None:
        """Go on at the last frame that begins before there; of the others only what lasts is taken."""
        self._screen.feed(_AFRESH)
        while self._position < target:
            block = os.pread(self._fd, PASSED_BYTES, self._position)
            end = 0
            for kind, start, end in format_.skim_frames(block):
                if kind == format_.RESIZE:
                    self._screen.resize(*format_.unpack_size(block[start:end]))
                if kind == format_.INPUT:
                    self._typed(block[start:end], is_drawn=False)
                if self._position + end >= target:
                    break
            self._screen.feed(b"".join(_LASTING.findall(block[:end])))
            if not end:
                return  # torn, or still being written: the next look goes on here
            self._position += end
            await asyncio.sleep(0)


def sight_of(screen: Screen) -> Sight:
    """What stands there now."""
    return Sight(
        lines=tuple(screen.text()),
        cursor=screen.cursor,
        title=screen.title,
        is_alternate=screen.is_alternate,
        modes=screen.modes,
    )
