"""A closed recording, packed: its frames in compressed blocks, and an index to find any moment in it.

    file    = "MPRECZ" · u16 version · u64 start (Unix time, µs) · block* · index · trailer
    block   = zlib of whole frames, a MiB of them
    index   = entry*      entry = u64 µs of the first frame · u64 output bytes before it · u16 rows · u16 columns
                                  · u64 place of the block · u32 packed bytes · u32 frames' bytes
    trailer = u64 place of the index · u32 entries · u32 crc32 of the index · "MPRECZ\\0\\0"     (big endian)

Unpacked it is the recording byte for byte, up to its last whole frame: a torn tail is left behind. The same
recording packs to the same bytes, so its name by content is stable. A recording keeps its name in the
run's folder when it is packed; readers tell the two by their first bytes.
"""

import binascii
import os
import shutil
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from moduprompt.keeper import recording as format_
from moduprompt.keeper.recording import RecordingError

VERSION: Final = 1
BLOCK_BYTES: Final = 1024 * 1024  # what one look into the middle has to unpack: some ten milliseconds
LEVEL: Final = 1  # terminals repeat themselves: the first level gives nine tenths of what the last one does
ENTRIES_MAX: Final = 1_000_000  # a terabyte
BLOCK_BYTES_MAX: Final = BLOCK_BYTES + format_.PAYLOAD_BYTES_MAX + 64  # the last frame of a block may go over

_MAGIC: Final = b"MPRECZ"
_HEAD: Final = struct.Struct(">6sHQ")
_ENTRY: Final = struct.Struct(">QQHHQII")
_TRAILER: Final = struct.Struct(">QII8s")
_END: Final = b"MPRECZ\0\0"


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A block: where it is, and what comes before its first frame."""

    time_us: int
    output_offset: int
    rows: int
    cols: int
    place: int
    packed_bytes: int
    frames_bytes: int


def pack(source: Path, target: Path) -> None:
    """Write the packed form of a recording, synced. Raises RecordingError and OSError."""
    with source.open("rb") as raw, target.open("wb") as file:
        started_us = format_.read_start(raw.fileno())
        file.write(_HEAD.pack(_MAGIC, VERSION, started_us))
        entries = [_write(file, block) for block in _blocks(raw.fileno())]
        index = b"".join(_ENTRY.pack(*msgspec.structs.astuple(each)) for each in entries)
        place = file.tell()
        file.write(index)
        file.write(_TRAILER.pack(place, len(entries), binascii.crc32(index), _END))
        file.flush()
        os.fsync(file.fileno())


def packed_beside(path: Path) -> Path:
    """A packed copy beside a recording, or a copy of one that is packed already; ready to take its name.

    Raises RecordingError for what is none, and OSError.
    """
    beside = path.with_name(f"{path.name}.packed")
    with path.open("rb") as file:
        was_packed = is_packed(file.fileno())
    if was_packed:
        shutil.copyfile(path, beside)
    else:
        pack(path, beside)
    return beside


def is_packed(fd: int) -> bool:
    """Whether this file is a packed recording."""
    return os.pread(fd, len(_MAGIC), 0) == _MAGIC


class Packed:
    """An open packed recording. Raises RecordingError for what is none."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        head = os.pread(fd, _HEAD.size, 0)
        if len(head) < _HEAD.size:
            raise RecordingError("the file is too short for a recording")
        magic, version, self.started_us = _HEAD.unpack(head)
        if magic != _MAGIC or version != VERSION:
            raise RecordingError(f"no packed recording of version {VERSION}")
        self.entries = self._read_index()
        self._times = [entry.time_us for entry in self.entries]
        self._offsets = [entry.output_offset for entry in self.entries]

    def at_time(self, time_us: int) -> int:
        """The number of the last block that begins at or before this time."""
        return max(bisect_right(self._times, time_us) - 1, 0)

    def at_offset(self, offset: int) -> int:
        """The number of the last block that begins at or before this byte of output."""
        return max(bisect_right(self._offsets, offset) - 1, 0)

    def unpacked(self, number: int) -> bytes:
        """The frames of one block. Raises RecordingError."""
        entry = self.entries[number]
        data = os.pread(self._fd, entry.packed_bytes, entry.place)
        unpacking = zlib.decompressobj()
        try:
            frames = unpacking.decompress(data, BLOCK_BYTES_MAX)
        except zlib.error as fault:
            raise RecordingError(f"block {number} is damaged: {fault}") from fault
        if len(frames) != entry.frames_bytes:
            raise RecordingError(f"block {number} is damaged: {len(frames)} bytes, not {entry.frames_bytes}")
        return frames

    def raw(self) -> Iterator[bytes]:
        """The recording as it was before it was packed, piece by piece."""
        yield format_.file_head(self.started_us)
        for number in range(len(self.entries)):
            yield self.unpacked(number)

    def _read_index(self) -> list[Entry]:
        size = os.fstat(self._fd).st_size
        trailer = os.pread(self._fd, _TRAILER.size, max(size - _TRAILER.size, 0))
        if len(trailer) < _TRAILER.size:
            raise RecordingError("the index is missing")
        place, count, crc, end = _TRAILER.unpack(trailer)
        if end != _END or count > ENTRIES_MAX or place + count * _ENTRY.size + _TRAILER.size != size:
            raise RecordingError("the index is damaged")
        index = os.pread(self._fd, count * _ENTRY.size, place)
        if binascii.crc32(index) != crc:
            raise RecordingError("the index is damaged")
        return [
            Entry(
                time_us=time_us,
                output_offset=offset,
                rows=rows,
                cols=cols,
                place=at,
                packed_bytes=packed,
                frames_bytes=frames,
            )
            for time_us, offset, rows, cols, at, packed, frames in _ENTRY.iter_unpack(index)
        ]


class _Block(msgspec.Struct, kw_only=True):
    time_us: int
    output_offset: int
    rows: int
    cols: int
    frames: bytearray


def _write(file: BinaryIO, block: _Block) -> Entry:
    place = file.tell()
    packed = zlib.compress(block.frames, LEVEL)
    file.write(packed)
    return Entry(
        time_us=block.time_us,
        output_offset=block.output_offset,
        rows=block.rows,
        cols=block.cols,
        place=place,
        packed_bytes=len(packed),
        frames_bytes=len(block.frames),
    )


def _blocks(fd: int) -> Iterator[_Block]:
    offset, rows, cols = 0, 0, 0  # a recording's first frame says its size
    block: _Block | None = None
    for frame in format_.scan_frames(fd):
        if block is None:
            block = _Block(
                time_us=frame.time_us, output_offset=offset, rows=rows, cols=cols, frames=bytearray()
            )
        if frame.kind == format_.RESIZE:
            rows, cols = format_.unpack_size(frame.payload)
        block.frames += format_.pack_frame(frame.kind, frame.time_us, frame.payload)
        if frame.kind == format_.OUTPUT:
            offset += len(frame.payload)
        if len(block.frames) >= BLOCK_BYTES:
            yield block
            block = None
    if block is not None:
        yield block
