"""A run's recording on this side: fetched whole, then read at any of its moments.

The copy is a temporary file, so that a recording of any size costs disk and no memory.
"""

import re
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.cli.faults import failed, misused
from moduprompt.cli.terminal_text import Cleaner
from moduprompt.effects.runner.recording import Gap, Output, RecordingReader
from moduprompt.keeper.recording import RecordingError
from moduprompt.protocol import SECOND, Code, Micros, to_timestamp

TAIL_CHARS_MAX: Final = (
    1_000_000  # of one line of a tail: one message of an agent program that speaks in lines
)
LINE_CHARS_MAX: Final = 4_096  # of one line that is searched: a program may print a gigabyte without an end


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a program printed, and when its last piece came."""

    at: str
    text: str


class LastLines:
    """The last lines of what was printed, as text; of a gigabyte only these are in memory."""

    def __init__(self, count: int) -> None:
        self.taken_bytes = 0
        self._cleaner = Cleaner()
        self._lines = deque[str](maxlen=count)
        self._rest = ""

    def feed(self, data: bytes) -> None:
        """Some more of it."""
        self.taken_bytes += len(data)
        self._put(self._cleaner.feed(data))

    def finish(self) -> tuple[str, ...]:
        """The lines; the last one may be unfinished."""
        self._put(self._cleaner.finish())
        if self._rest:
            self._lines.append(self._rest)
        return tuple(self._lines)

    def _put(self, text: str) -> None:
        *whole, self._rest = (self._rest + text).split("\n")
        self._lines.extend(whole)
        if len(self._rest) > TAIL_CHARS_MAX:
            self._lines.append(self._rest)
            self._rest = ""


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
            raise failed(
                Code.UNKNOWN,
                f"the recording can't be read: {fault}",
                hint="mpctl run output may print what there is of it",
            ) from fault


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
