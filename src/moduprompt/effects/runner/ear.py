"""One run's output, understood: bytes in, what was said out, each with its place.

A place is a byte of the output. Places rise from one thing said to the next, and they are the same whoever reads
and however the bytes were cut, since a reader that is fed the same lines says the same. So a place names
for ever what was said there. What a line says last has the place behind the line; what it says before that stands on
the line's first bytes.

What a program made a reader say that the log could not hold (an amount beyond every bound) is not said: a log that holds it
could not be read any more, and one program would have taken its whole workspace along.
"""

import logging
from collections.abc import Generator
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.domain.run.said import LineSkipped, Said
from moduprompt.effects.agents.cutting import LineCutter
from moduprompt.effects.agents.port import Asked, Heard, InputOver, Owed, Reader
from moduprompt.effects.runner.recording import Output, RecordingReader

# What a value in a line can do to a reader that was not ready for it.
FAULTS: Final = (OverflowError, RecursionError, ValueError)

LOGGED: Final = msgspec.json.Decoder(Said)  # what reads it out of the log again

log = logging.getLogger(__name__)


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was said, and its place."""

    at: int
    heard: Heard


class Ear:
    """Fed with output from the first byte on. Holds what its reader holds, and one unfinished line."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.offset = 0  # of the next byte that it has not heard
        self._cutter = LineCutter()
        self._line_start = 0
        self._has_complained = False

    def take(self, data: bytes, *, offset: int) -> Generator[Noted]:
        """What is said in these bytes, of which the first is byte `offset`; what it has heard already is left out."""
        assert offset <= self.offset, f"BUG: output {self.offset} to {offset} was left out"
        fresh = data[self.offset - offset :]
        self.offset += len(fresh)
        for line in self._cutter.feed(fresh):
            yield from self._noted(line, ends_at=self._line_start + _length(line) + 1)

    def last(self) -> Generator[Noted]:
        """What is said behind the last line end, when nothing more will come."""
        line = self._cutter.last()
        if line:
            yield from self._noted(line, ends_at=self._line_start + _length(line))

    def _noted(self, line: bytes | LineSkipped, *, ends_at: int) -> Generator[Noted]:
        start, self._line_start = self._line_start, ends_at
        heard = (line,) if isinstance(line, LineSkipped) else self._read(line, at=start)
        for number, each in enumerate(heard, 1):
            yield Noted(at=ends_at if number == len(heard) else min(start + number, ends_at), heard=each)

    def _read(self, line: bytes, *, at: int) -> tuple[Heard, ...]:
        """What its reader makes of a line. Readers never raise; one that does must not hide the run's end."""
        try:
            heard = self.reader.read(line)
        except FAULTS as fault:
            self._complain(fault, at=at, line=line)
            return (LineSkipped(bytes=len(line)),)
        return tuple(self._fitting(each, at=at, line=line) for each in heard)

    def _fitting(self, heard: Heard, *, at: int, line: bytes) -> Heard:
        """The same, or that something stood there which the log can't hold."""
        if isinstance(heard, Owed | InputOver):
            return heard
        said = heard.said if isinstance(heard, Asked) else heard
        try:
            LOGGED.decode(msgspec.json.encode(said))
        except msgspec.ValidationError as fault:
            self._complain(fault, at=at, line=line)
            return LineSkipped(bytes=len(line))
        return heard

    def _complain(self, fault: Exception, *, at: int, line: bytes) -> None:
        if not self._has_complained:
            self._has_complained = True  # a program may print many such lines
            log.warning("line.unreadable", exc_info=fault, extra={"at": at, "bytes": len(line)})


def recorded(ear: Ear, path: Path) -> Generator[Noted]:
    """What is said in a recording as far as it goes, the unfinished line left out. Raises RecordingError, OSError."""
    with RecordingReader(path) as recording:
        for frame in recording.frames():
            if isinstance(frame, Output):
                yield from ear.take(frame.data, offset=frame.offset)


def _length(line: bytes | LineSkipped) -> int:
    return line.bytes if isinstance(line, LineSkipped) else len(line)
