"""Draws the screen of a living run from its recording, as it grows.

The keeper writes every byte before anybody is shown it, so the file is the truth and costs the keeper
nothing. Each look draws what has come since the last one. Who prints more than a look may draw is not
followed byte by byte: the screen is begun anew near the recording's end, as a full-screen program draws
itself again and again; what is passed over is looked through for modes and titles only. So a look has a
bound, whatever the program does, and the loop gets its turn between two slices.

The recording also has the keys, each where it was typed: so a key that answered a question that stood on the
screen is told from the first letter of a line. Where such keys were passed over and a line would stand there because of
them, the screen is drawn once more as it was when each was typed; of very many keys that is not done, and they are a line.
"""

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from moduprompt.effects.runner.status.facts import Sight
from moduprompt.effects.screen.screen import Screen
from moduprompt.keeper import recording as format_
from moduprompt.keeper.drafts import Draft

DRAWN_BYTES_MAX: Final = 128 * 1024  # 75 ms of work at the worst; agent programs print 1 to 10 kB a second
SLICE_S: Final = 0.005  # in which the daemon answers nobody
SIP_BYTES: Final = 512  # between two looks at the clock: a few bytes can have the whole screen drawn anew
PASSED_BYTES: Final = 1024 * 1024  # looked through in one go, some milliseconds; longer than any frame
KEYS_JUDGED_MAX: Final = 8  # that were passed over: an answer is a key or two, and each costs a drawing

ROWS, COLS = 24, 80  # until the first frame, which says the size

# What outlives a picture: private modes that are set or reset, and titles.
_LASTING: Final = re.compile(rb"\x1b\[\?[0-9;]{1,40}[hl]|\x1b\][02];[^\x07\x1b]{0,1024}(?:\x07|\x1b\\)")
_AFRESH: Final = b"\x18\x1b[m\x1b[r\x1b[H\x1b[2J"  # ends what was cut in the middle, then an empty page


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A person's keys that nobody has seen the screen for. `position`: in the recording, right before them."""

    position: int
    author: str
    keys: bytes


class Drawing:
    """One run's screen. For one caller at a time."""

    def __init__(self, recording: Path, *, asks: Callable[[Sight], bool] = lambda _: False) -> None:
        """`asks`: whether a screen shows a question."""
        self._path = recording
        self._fd = os.open(recording, os.O_RDONLY | os.O_CLOEXEC)
        self._position = format_.FIRST_FRAME
        self._screen = Screen(ROWS, COLS)
        self._asks = asks
        self._drafts: dict[str, Draft] = {}
        self._passed: dict[str, list[Passed]] = {}  # of what stands there perhaps, by author
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
        await self._draw_until(os.fstat(self._fd).st_size)
        if self._passed:
            await self._judge_passed()
        drafts = frozenset(who for who, draft in self._drafts.items() if draft.author)
        return replace(sight_of(self._screen), drafts=drafts)

    async def stood_at(self, position: int) -> Sight:
        """The screen after the frames before this one. It only goes forward."""
        await self._draw_until(position)
        return sight_of(self._screen)

    async def _draw_until(self, end: int) -> None:
        if end - self._position > DRAWN_BYTES_MAX:
            await self._pass_over(end - DRAWN_BYTES_MAX)
        clock = asyncio.get_running_loop().time
        slice_ends = clock() + SLICE_S
        for frame in format_.scan_frames(self._fd, start=self._position):
            if self._position >= end:
                break
            self._position = frame.end
            for piece in self._pieces(frame):
                self._screen.feed(piece)
                if clock() >= slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = clock() + SLICE_S

    async def _judge_passed(self) -> None:
        """Of keys that were passed over: which of them were answers."""
        undecided = [each for passed in self._passed.values() for each in passed[: KEYS_JUDGED_MAX + 1]]
        self._passed.clear()
        if len(undecided) > KEYS_JUDGED_MAX:
            return
        for each in undecided:
            self._drafts[each.author] = Draft()
        with closing(Drawing(self._path, asks=self._asks)) as past:
            for each in sorted(undecided, key=lambda passed: passed.position):
                if not self._asks(await past.stood_at(each.position)):
                    self._drafts[each.author].typed(each.keys, each.author)

    def _typed(self, payload: bytes, *, passed_at: int | None = None) -> None:
        """`passed_at`: where these keys stand, if nothing before them was drawn."""
        kind, author, keys = format_.unpack_input(payload)
        if kind != "user" or (passed_at is None and self._asks(sight_of(self._screen))):
            return
        draft = self._drafts.setdefault(author, Draft())
        draft.typed(keys, author)
        if passed_at is None or not draft.author:
            self._passed.pop(author, None)  # they are a line, or nothing is left of them
        else:
            passed = Passed(position=passed_at, author=author, keys=keys)
            self._passed.setdefault(author, []).append(passed)

    def _pieces(self, frame: format_.Frame) -> list[bytes]:
        if frame.kind == format_.RESIZE:
            self._screen.resize(*format_.unpack_size(frame.payload))
        if frame.kind == format_.INPUT:
            self._typed(frame.payload)
        if frame.kind != format_.OUTPUT:
            return []
        data = frame.payload
        return [data[at : at + SIP_BYTES] for at in range(0, len(data), SIP_BYTES)]

    async def _pass_over(self, target: int) -> None:
        """Go on at the last frame that begins before there; of the others only what lasts is taken."""
        self._screen.feed(_AFRESH)
        while self._position < target:
            block = os.pread(self._fd, PASSED_BYTES, self._position)
            begin = end = 0
            for kind, start, end in format_.skim_frames(block):
                if kind == format_.RESIZE:
                    self._screen.resize(*format_.unpack_size(block[start:end]))
                if kind == format_.INPUT:
                    self._typed(block[start:end], passed_at=self._position + begin)
                if self._position + end >= target:
                    break
                begin = end
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
