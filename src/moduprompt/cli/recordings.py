"""A run's recording on this side: fetched whole, then read at any of its moments.

The copy is a temporary file, so that a recording of any size costs disk and no memory.
"""

import re
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.cli.faults import failed, misused
from moduprompt.cli.terminal_text import Cleaner
from moduprompt.effects.runner.recording import Gap, Output, RecordingFrame, RecordingReader, Resize
from moduprompt.effects.screen.screen import Screen
from moduprompt.keeper.recording import RecordingError
from moduprompt.protocol import SECOND, Code, Micros, to_timestamp

LINE_CHARS_MAX: Final = 4_096  # of one line that is searched: a program may print a gigabyte without an end
DRAWN_BYTES: Final = 8 * 1024 * 1024  # two seconds of drawing
ROWS, COLS = 24, 80  # until a recording says its size, which its first frame does


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a program printed, and when its last piece came."""

    at: str
    text: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A screen at one moment. `cursor` is line and column, from 0."""

    run_id: str
    at: str
    rows: int
    cols: int
    cursor: tuple[int, int]
    title: str
    is_alternate: bool
    lines: list[str]


@asynccontextmanager
async def fetched(recording: AsyncGenerator[bytes]) -> AsyncGenerator[RecordingReader]:
    """The recording, to be read as often as needed. Raises CallFailed for what is none."""
    with tempfile.NamedTemporaryFile(prefix="mp-recording-") as copy:
        async with aclosing(recording):
            async for piece in recording:
                copy.write(piece)
        copy.flush()
        try:
            with RecordingReader(Path(copy.name)) as reader:
                yield reader
        except RecordingError as fault:
            raise failed(Code.UNKNOWN, f"the recording can't be read: {fault}") from fault


def to_moment_us(text: str, *, started_us: int) -> int:
    """Microseconds since the start: of `90`, of `1h30m`, or of a time of day with its date. Raises CallFailed."""
    spans = re.fullmatch(r"(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,6})?)s?)?", text)
    if spans is not None and text:
        hours, minutes, seconds = (float(each or 0) for each in spans.groups())
        return int((hours * 3600 + minutes * 60 + seconds) * SECOND)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise misused(
            f"{text!r} is no moment",
            hint="seconds since the start (90, 1m30s), or a time such as 2026-11-22T15:40:00Z",
        ) from None
    zoned = moment if moment.tzinfo is not None else moment.astimezone()
    return int((zoned - datetime.fromtimestamp(0, UTC)).total_seconds() * SECOND) - started_us


def screen_at(reader: RecordingReader, until_us: int | None) -> tuple[Screen, int]:
    """The screen after the last frame at or before this moment, and that frame's time; None: after all.

    Of more output than DRAWN_BYTES the last is drawn: what came before has long left the screen.
    """
    until = sys.maxsize if until_us is None else until_us
    printed = sum(len(frame.data) for frame in _until(reader, until) if isinstance(frame, Output))
    screen = Screen(ROWS, COLS)
    last_us = 0
    for frame in _until(reader, until):
        last_us = frame.time_us
        if isinstance(frame, Output):
            if frame.offset + len(frame.data) > printed - DRAWN_BYTES:
                screen.feed(frame.data)
        elif isinstance(frame, Resize):
            screen.resize(frame.rows, frame.cols)
    return screen, last_us


def _until(reader: RecordingReader, until_us: int) -> Iterator[RecordingFrame]:
    return takewhile(lambda frame: frame.time_us <= until_us, reader.frames())


def lines_of(reader: RecordingReader) -> Iterator[Line]:
    """Everything that was printed, line by line, as text; the last line may be unfinished."""
    cleaner = Cleaner()
    rest, at = "", 0
    for frame in reader.frames():
        if isinstance(frame, Gap):
            yield _line(f"[{frame.missing_bytes} bytes of output are not kept]", reader, frame.time_us)
        if not isinstance(frame, Output):
            continue
        at = frame.time_us
        *whole, rest = (rest + cleaner.feed(frame.data)).split("\n")
        if len(rest) > LINE_CHARS_MAX:
            whole, rest = [*whole, rest], ""
        yield from (_line(each, reader, at) for each in whole)
    rest += cleaner.finish()
    if rest:
        yield _line(rest, reader, at)


def wall_clock(reader: RecordingReader, time_us: int) -> str:
    """The time of day of a moment of the recording, as the wire writes it."""
    return to_timestamp(Micros(reader.started_us + time_us))


def _line(text: str, reader: RecordingReader, time_us: int) -> Line:
    return Line(at=wall_clock(reader, time_us), text=text)
