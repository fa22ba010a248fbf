"""Reading a run's recording: for replay, for export, for whatever an agent printed.

A recording may still be written while it is read, and may end torn after a crash: reading stops at the last
whole frame, and reading again later finds more.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from moduprompt.effects.runner.packing import Packed, is_packed
from moduprompt.effects.runner.port import Author
from moduprompt.keeper import recording as format_

RAW_BYTES = 256 * 1024  # of one piece of an unpacked recording


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


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """So many bytes of output came here that are not kept, since a limit was reached."""

    time_us: int
    missing_bytes: int


class Stderr(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that a program on pipes wrote to its standard error; no part of the output."""

    time_us: int
    data: bytes


RecordingFrame = Output | Input | Resize | Mark | Gap | Stderr


class RecordingReader:
    """One recording, packed or as it was written. Raises `RecordingError` for what is none. A context manager."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._packed = Packed(self._fd) if is_packed(self._fd) else None
            packed = self._packed
            self.started_us = packed.started_us if packed else format_.read_start(self._fd)  # Unix time
        except format_.RecordingError:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def frames(self) -> Iterator[RecordingFrame]:
        """Every whole frame from the start, in order; kinds we don't know are left out."""
        return self._typed(0)

    def frames_before(self, time_us: int, *, output_bytes: int) -> Iterator[RecordingFrame]:
        """Frames that lead to a moment: at least this much output before it, where there is that much.

        Begins with the window's size at that place, and goes on to the end: stop where you want. Of a packed
        recording only what is needed is unpacked; of one that is still written, all is read.
        """
        if self._packed is None or not self._packed.entries:
            return self._typed(0)
        entries = self._packed.entries
        last = self._packed.at_time(time_us)
        first = min(last, self._packed.at_offset(max(entries[last].output_offset - output_bytes, 0)))
        return self._typed(first)

    def frames_from(self, offset: int) -> Iterator[RecordingFrame]:
        """Frames from one on that comes at or before this byte of output."""
        return self._typed(self._packed.at_offset(offset) if self._packed and self._packed.entries else 0)

    def raw(self) -> Iterator[bytes]:
        """The recording's bytes as they were written, piece by piece, up to what there is now."""
        if self._packed is not None:
            yield from self._packed.raw()
            return
        position, end = 0, os.fstat(self._fd).st_size  # who still writes may be quicker than whoever reads
        while piece := os.pread(self._fd, min(RAW_BYTES, end - position), position):
            yield piece
            position += len(piece)

    def _typed(self, first_block: int) -> Iterator[RecordingFrame]:
        offset = 0
        if self._packed is not None and first_block:
            entry = self._packed.entries[first_block]
            offset = entry.output_offset
            yield Resize(time_us=entry.time_us, rows=entry.rows, cols=entry.cols)
        for frame in self._scanned(first_block):
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
                case format_.STDERR:
                    yield Stderr(time_us=frame.time_us, data=frame.payload)
                case format_.GAP:
                    yield Gap(time_us=frame.time_us, missing_bytes=format_.unpack_gap(frame.payload))
                case _:
                    continue

    def _scanned(self, first_block: int) -> Iterator[format_.Frame]:
        if self._packed is None:
            yield from format_.scan_frames(self._fd)
            return
        for number in range(first_block, len(self._packed.entries)):
            yield from format_.frames_in(self._packed.unpacked(number))

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
        for frame in self._scanned(0):
            last = frame.time_us
        return last


def _input(frame: format_.Frame) -> Input:
    kind, author_id, data = format_.unpack_input(frame.payload)
    return Input(time_us=frame.time_us, author=Author(kind=kind, id=author_id), data=data)
