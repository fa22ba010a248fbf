"""The frames between a keeper and whoever dials it, protocol version 1.

    u32 body length · u8 type · body            (big endian; body at most FRAME_BYTES_MAX)

Bodies are JSON objects in UTF-8, except OUTPUT: u64 offset of its first byte, then raw bytes. Numbers of
types are never reused. A frame that is too long, of an unknown type, or with missing, unknown or
ill-typed fields is answered with ERROR and the connection is closed: a peer that errs once is not
understood, and guessing at a terminal is worse than hanging up.
"""

import binascii
import json
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing would cost every keeper memory
    from collections.abc import Iterator, Mapping

VERSION = 1

HELLO, ATTACH, INPUT, RESIZE, SIGNAL, STOP, STATUS, ACK, FOLLOW, CLOSE_INPUT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
WELCOME, OUTPUT, OUTPUT_END, INPUT_RESULT, STATUS_REPLY, ENTRY, DONE, ERROR = 65, 66, 67, 68, 69, 70, 71, 127

FRAME_BYTES_MAX = 256 * 1024  # holds the largest input in base64 with room for its ids
INPUT_BYTES_MAX = 128 * 1024  # a long prompt; longer text belongs in a file
OUTPUT_BYTES_MAX = 64 * 1024  # one pipe buffer: what a slow watcher can cost in memory
TEXT_CHARS_MAX = 1000  # ids, names, reasons

_HEAD = struct.Struct(">IB")
_OFFSET = struct.Struct(">Q")


class FrameError(Exception):
    """The peer broke the protocol. `code` goes to the peer, then the connection ends."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def encode(kind: int, message: "Mapping[str, object]") -> bytes:
    """One frame with a JSON body."""
    return encode_bytes(kind, json.dumps(message, separators=(",", ":")).encode())


def encode_bytes(kind: int, body: bytes) -> bytes:
    """One frame with these bytes as its body."""
    return _HEAD.pack(len(body), kind) + body


def encode_output(offset: int, data: bytes) -> bytes:
    """Terminal bytes, of which the first is byte `offset` of the run's output."""
    return _HEAD.pack(_OFFSET.size + len(data), OUTPUT) + _OFFSET.pack(offset) + data


def decode_output(body: bytes) -> tuple[int, bytes]:
    """The offset and the bytes of an OUTPUT frame."""
    if len(body) < _OFFSET.size:
        raise FrameError("bad_frame", "an output frame is shorter than its offset")
    (offset,) = _OFFSET.unpack_from(body)
    return offset, body[_OFFSET.size :]


class FrameReader:
    """Cuts a byte stream into frames. Holds at most one unfinished frame and one read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> "Iterator[tuple[int, bytes]]":
        """Yield (type, body) for each frame completed by `data`. Raises FrameError on an oversized one."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _HEAD.size:
            length, kind = _HEAD.unpack_from(buffer)
            if length > FRAME_BYTES_MAX:
                raise FrameError("frame_too_large", f"a frame has at most {FRAME_BYTES_MAX} bytes")
            end = _HEAD.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[_HEAD.size : end])
            del buffer[:end]
            yield kind, body


class Message:
    """A JSON body, read field by field. `finish` refuses whatever nobody asked for."""

    def __init__(self, body: bytes) -> None:
        try:
            decoded: object = json.loads(body)
        except (ValueError, RecursionError):
            raise FrameError("bad_json", "the body is no JSON") from None
        if not isinstance(decoded, dict):
            raise FrameError("bad_json", "the body is no JSON object")
        self._fields: dict[str, object] = decoded  # pyright: ignore[reportUnknownMemberType] - JSON keys are text

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise FrameError("bad_field", f"{name} must be a whole number from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        """A number within bounds."""
        value = self._take(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
            raise FrameError("bad_field", f"{name} must be a number from {low} to {high}")
        return float(value)

    def text(self, name: str, chars_max: int = TEXT_CHARS_MAX) -> str:
        """A string without NUL, not longer than `chars_max`."""
        return _text(self._take(name), name, chars_max)

    def texts(self, name: str, items_max: int, chars_max: int) -> list[str]:
        """A list of strings."""
        value = self._take(name)
        if not isinstance(value, list) or len(value) > items_max:  # pyright: ignore[reportUnknownArgumentType] - JSON
            raise FrameError("bad_field", f"{name} must be a list of at most {items_max}")
        items: list[object] = value  # pyright: ignore[reportUnknownVariableType] - JSON
        return [_text(item, name, chars_max) for item in items]

    def boolean(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise FrameError("bad_field", f"{name} must be true or false")
        return value

    def data(self, name: str, bytes_max: int) -> bytes:
        """Bytes that travel as base64."""
        value = self._take(name)
        try:
            decoded = binascii.a2b_base64(value, strict_mode=True) if isinstance(value, str) else None
        except ValueError:
            decoded = None
        if decoded is None or len(decoded) > bytes_max:
            raise FrameError("bad_field", f"{name} must be base64 of at most {bytes_max} bytes")
        return decoded

    def has(self, name: str) -> bool:
        """Whether an optional field is there and not null. A null is consumed."""
        if self._fields.get(name, self) is None:
            del self._fields[name]
        return name in self._fields

    def nested(self, name: str) -> "Message":
        """An object within this one; finish it too."""
        value = self._take(name)
        if not isinstance(value, dict):
            raise FrameError("bad_field", f"{name} must be an object")
        inner = Message(b"{}")
        inner._fields = value  # pyright: ignore[reportUnknownMemberType] - JSON
        return inner

    def names(self) -> list[str]:
        """The fields not yet read."""
        return list(self._fields)

    def finish(self) -> None:
        """Refuse fields that nobody read."""
        if self._fields:
            raise FrameError("unknown_field", f"unknown field {sorted(self._fields)[0][:100]!r}")

    def _take(self, name: str) -> object:
        if name not in self._fields:
            raise FrameError("bad_field", f"{name} is missing")
        return self._fields.pop(name)


def _text(value: object, name: str, chars_max: int) -> str:
    if not isinstance(value, str) or len(value) > chars_max or "\0" in value or not _is_utf8(value):
        raise FrameError("bad_field", f"{name} must be text of at most {chars_max} characters without NUL")
    return value


def _is_utf8(text: str) -> bool:
    """JSON can say half a surrogate pair, which no recording and no argument can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
