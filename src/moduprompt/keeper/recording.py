"""A run's recording: raw framed bytes with times. Nothing of what the terminal carried is lost in it.

    file   = "MPREC\\0" · u16 version · u64 start (Unix time, µs) · frame*
    frame  = u8 kind · u64 µs since start · u32 payload length · u32 crc32 · payload      (big endian)

    output   raw bytes from the terminal; their concatenation is the run's output, byte for byte
    input    u8 author · u8 length of id · id · raw bytes written to the terminal
    resize   u16 rows · u16 columns; the first frame of every recording
    mark     UTF-8 text: something happened here
    stderr   raw bytes of standard error, where the program stands on pipes; no part of the output
    gap      u64: so many bytes of output came here that are not kept, since a limit was reached

The crc covers the frame's head before it and the payload. A frame that is cut short or does not match
ends the recording: readers stop there, and `repair` cuts it off.
"""

import binascii
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Callable, Iterator
    from typing import Literal

    AuthorKind = Literal["user", "session", "kernel"]

RECORDING_NAME = "recording.mprec"
VERSION = 1
OUTPUT, INPUT, RESIZE, MARK, GAP, STDERR = 1, 2, 3, 4, 5, 6
AUTHORS: "tuple[AuthorKind, ...]" = (
    "user",
    "session",
    "kernel",
)  # the byte in an input frame is the place in this list
PAYLOAD_BYTES_MAX = 256 * 1024  # a reader's memory for one frame; writers stay well below

_MAGIC = b"MPREC\0"
_FILE_HEAD = struct.Struct(">6sHQ")
_FRAME_HEAD = struct.Struct(">BQI")
_CRC = struct.Struct(">I")
_GAP = struct.Struct(">Q")
_SIZE = struct.Struct(">HH")
_HEAD_BYTES = _FRAME_HEAD.size + _CRC.size
FIRST_FRAME = _FILE_HEAD.size  # where it stands in the file

INDEX_STRIDE_BYTES = 1024 * 1024  # scanning the frame heads of 1 MiB takes a few milliseconds
INDEX_ENTRIES_MAX = 1024  # 100 kB of memory; beyond it every second entry goes


class RecordingError(Exception):
    """The file is no recording of a version we know, or no keeper wrote it."""


class Frame:
    """One frame as read."""

    __slots__ = ("kind", "payload", "position", "time_us")

    def __init__(self, kind: int, time_us: int, payload: bytes, *, position: int) -> None:
        self.kind = kind
        self.time_us = time_us
        self.payload = payload
        self.position = position

    @property
    def end(self) -> int:
        """Where the next frame begins."""
        return self.position + _HEAD_BYTES + len(self.payload)


class Recording:
    """The one writer of a recording, and the place its watchers read from, each at its own offset."""

    def __init__(self, path: str, *, started_us: int) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(self._fd, file_head(started_us))
        self._end = _FILE_HEAD.size
        self._index = [(0, self._end)]  # (output offset, position of the frame that holds it)
        self._stride = INDEX_STRIDE_BYTES
        self.output_bytes = 0

    def append(self, kind: int, time_us: int, payload: bytes) -> None:
        """Write one whole frame or, when the disk refuses, none: the OSError comes through."""
        frame = pack_frame(kind, time_us, payload)
        written = os.pwrite(self._fd, frame, self._end)
        while written < len(frame):
            written += os.pwrite(self._fd, frame[written:], self._end + written)
        if kind == OUTPUT:
            self._note(self._end, len(payload))
        self._end += len(frame)

    def sync(self) -> bool:
        """Make durable what was appended. False when the disk refuses; readers stop at the last whole frame."""
        try:
            os.fdatasync(self._fd)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    @property
    def index_entries(self) -> int:
        """How much of the output's index is held in memory."""
        return len(self._index)

    def locate(self, offset: int) -> tuple[int, int]:
        """Where to start looking for an output offset: (output offset, file position), not after it."""
        best = self._index[0]
        for entry in self._index:
            if entry[0] > offset:
                break
            best = entry
        return best

    def read_frame(self, position: int) -> tuple[int, int, int]:
        """(kind, payload position, next frame's position) of the frame at `position`, which must be whole."""
        kind, _, length = _FRAME_HEAD.unpack(os.pread(self._fd, _FRAME_HEAD.size, position))
        payload = position + _HEAD_BYTES
        return kind, payload, payload + length

    def read_bytes(self, position: int, length: int) -> bytes:
        """Bytes of a payload."""
        return os.pread(self._fd, length, position)

    def _note(self, position: int, length: int) -> None:
        if self.output_bytes - self._index[-1][0] >= self._stride:
            self._index.append((self.output_bytes, position))
            if len(self._index) > INDEX_ENTRIES_MAX:
                del self._index[1::2]
                self._stride *= 2
        self.output_bytes += length


class OutputCursor:
    """A watcher's place in the output. It costs the same whether the watcher is quick or slow."""

    def __init__(self, recording: Recording, offset: int) -> None:
        self._recording = recording
        self.offset = offset
        self._at, self._position = recording.locate(offset)

    def read(self, bytes_max: int) -> bytes:
        """The next bytes of output, empty when the watcher has caught up."""
        recording = self._recording
        while self.offset < recording.output_bytes:
            kind, payload, following = recording.read_frame(self._position)
            length = following - payload if kind == OUTPUT else 0
            if self.offset < self._at + length:
                start = self.offset - self._at
                data = recording.read_bytes(payload + start, min(bytes_max, length - start))
                self.offset += len(data)
                return data
            self._at += length
            self._position = following
        return b""


def file_head(started_us: int) -> bytes:
    """How a recording's file begins."""
    return _FILE_HEAD.pack(_MAGIC, VERSION, started_us)


def pack_frame(kind: int, time_us: int, payload: bytes) -> bytes:
    """A whole frame as it stands in the file."""
    head = _FRAME_HEAD.pack(kind, time_us, len(payload))
    return head + _CRC.pack(binascii.crc32(payload, binascii.crc32(head))) + payload


def author_kind(name: str) -> "AuthorKind | None":
    """The author this name stands for, if any."""
    return next((author for author in AUTHORS if author == name), None)


def pack_input(author: "AuthorKind", author_id: str, data: bytes) -> bytes:
    """The payload of an input frame."""
    identity = author_id.encode()[:255]
    return bytes((AUTHORS.index(author), len(identity))) + identity + data


def unpack_input(payload: bytes) -> "tuple[AuthorKind, str, bytes]":
    """(author, author id, bytes) of an input frame. Raises RecordingError."""
    if len(payload) < 2 or payload[0] >= len(AUTHORS) or len(payload) < 2 + payload[1]:
        raise RecordingError("an input frame without its author")
    end = 2 + payload[1]
    return AUTHORS[payload[0]], payload[2:end].decode("utf-8", "replace"), payload[end:]


def pack_size(rows: int, cols: int) -> bytes:
    """The payload of a resize frame."""
    return _SIZE.pack(rows, cols)


def pack_gap(missing_bytes: int) -> bytes:
    """The payload of a gap frame."""
    return _GAP.pack(missing_bytes)


def unpack_gap(payload: bytes) -> int:
    """How many bytes a gap frame stands for. Raises RecordingError."""
    if len(payload) != _GAP.size:
        raise RecordingError("a gap frame without its size")
    (missing_bytes,) = _GAP.unpack(payload)
    return missing_bytes


def unpack_size(payload: bytes) -> tuple[int, int]:
    """(rows, columns) of a resize frame. Raises RecordingError."""
    if len(payload) != _SIZE.size:
        raise RecordingError("a resize frame without its size")
    rows, cols = _SIZE.unpack(payload)
    return rows, cols


def read_start(fd: int) -> int:
    """When the recording began (Unix time in µs). Raises RecordingError on anything that is none."""
    raw = os.pread(fd, _FILE_HEAD.size, 0)
    if len(raw) < _FILE_HEAD.size:
        raise RecordingError("the file is too short for a recording")
    magic, version, started_us = _FILE_HEAD.unpack(raw)
    if magic != _MAGIC or version != VERSION:
        raise RecordingError(f"no recording of version {VERSION}")
    return started_us


def scan_frames(fd: int, *, start: int = FIRST_FRAME) -> "Iterator[Frame]":
    """Every whole frame from the one at `start` on. Ends quietly at the first that is torn."""
    return _scan(lambda length, position: os.pread(fd, length, position), start)


def skim_frames(block: bytes) -> "Iterator[tuple[int, int, int]]":
    """(kind, start of the payload, end) of each whole frame of these bytes, unchecked: for who only passes by."""
    position = 0
    while position + _HEAD_BYTES <= len(block):
        kind, _, length = _FRAME_HEAD.unpack_from(block, position)
        end = position + _HEAD_BYTES + length
        if length > PAYLOAD_BYTES_MAX or end > len(block):
            return
        yield kind, position + _HEAD_BYTES, end
        position = end


def frames_in(block: bytes) -> "Iterator[Frame]":
    """Every whole frame of these bytes. Ends quietly at the first that is torn."""
    return _scan(lambda length, position: block[position : position + length], 0)


def _scan(read: "Callable[[int, int], bytes]", position: int) -> "Iterator[Frame]":
    while True:
        head = read(_HEAD_BYTES, position)
        if len(head) < _HEAD_BYTES:
            return
        kind, time_us, length = _FRAME_HEAD.unpack_from(head)
        if length > PAYLOAD_BYTES_MAX:
            return
        payload = read(length, position + _HEAD_BYTES)
        (crc,) = _CRC.unpack_from(head, _FRAME_HEAD.size)
        expected = binascii.crc32(payload, binascii.crc32(head[: _FRAME_HEAD.size]))
        if len(payload) < length or crc != expected:
            return
        yield Frame(kind, time_us, payload, position=position)
        position += _HEAD_BYTES + length


def repair(path: str) -> int:
    """Cut a torn tail off. Returns how many bytes went. Only for recordings whose keeper is gone."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        read_start(fd)
        end = _FILE_HEAD.size
        for frame in scan_frames(fd):
            end = frame.position + _HEAD_BYTES + len(frame.payload)
        torn = os.fstat(fd).st_size - end
        if torn:
            os.ftruncate(fd, end)
            os.fsync(fd)
        return torn
    finally:
        os.close(fd)
