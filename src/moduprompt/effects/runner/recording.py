"""Reading a run's recording: for replay, for export, for whatever an agent printed.

A recording may still be written while it is read, and may end torn after a crash: reading stops at the last
whole frame, and reading again later finds more.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from moduprompt.effects.runner.port import Author
from moduprompt.keeper import recording as format_


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes the terminal printed, the first of them byte `offset` of the output."""

    time_us: int
    offset: int
    data: bytes


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes typed into the terminal, and by whom."""

    time_us: int
    author: Author
    data: bytes


class Resize(msgspec.Struct, frozen=True, kw_only=True):
    """The window's size from now on."""

    time_us: int
    rows: int
    cols: int


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened here."""

    time_us: int
    text: str


RecordingFrame = Output | Input | Resize | Mark


class RecordingReader:
    """One recording, open for reading. Raises `RecordingError` for a file that is none. A context manager."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.started_us = format_.read_start(self._fd)  # Unix time
        except format_.RecordingError:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def frames(self) -> Iterator[RecordingFrame]:
        """Every whole frame from the start, in order; kinds we don't know are left out."""
        offset = 0
        for frame in format_.scan_frames(self._fd):
            match frame.kind:
                case format_.OUTPUT:
                    yield Output(time_us=frame.time_us, offset=offset, data=frame.payload)
                    offset += len(frame.payload)
                case format_.INPUT:
                    yield _input(frame)
                case format_.RESIZE:
                    rows, cols = format_.unpack_size(frame.payload)
                    yield Resize(time_us=frame.time_us, rows=rows, cols=cols)
                case format_.MARK:
                    yield Mark(time_us=frame.time_us, text=frame.payload.decode("utf-8", "replace"))
                case _:
                    continue

    def output_bytes(self, start: int = 0, end: int | None = None) -> bytes:
        """The output from byte `start` to before byte `end`, as far as it is there."""
        pieces: list[bytes] = []
        for frame in self.frames():
            if not isinstance(frame, Output):
                continue
            if end is not None and frame.offset >= end:
                break
            last = None if end is None else end - frame.offset
            pieces.append(frame.data[max(start - frame.offset, 0) : last])
        return b"".join(pieces)

    def duration_us(self) -> int:
        """When the last whole frame was written, counted from the start."""
        last = 0
        for frame in format_.scan_frames(self._fd):
            last = frame.time_us
        return last


def _input(frame: format_.Frame) -> Input:
    kind, author_id, data = format_.unpack_input(frame.payload)
    return Input(time_us=frame.time_us, author=Author(kind=kind, id=author_id), data=data)
