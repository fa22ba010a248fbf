"""Server-sent events (WHATWG HTML, section 9.2): one JSON event a `data:` line.

An event carries `id:` = its `seq_global` and no event name. A position is
`event: position` with the id; the end is `event: end`. JSON has no raw line breaks,
so one data line always suffices.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from moduprompt.protocol.framing.frames import End, EventFrame, Frame, Position, StreamBroken

LINE_MAX: Final = 16 * 1024 * 1024  # a stored event is far smaller; a longer line is no stream of ours

DIGITS_MAX: Final = 16  # of a sequence: 2**53 has sixteen


def event_bytes(seq: int, data: bytes) -> bytes:
    """One event."""
    return b"id: %d\ndata: %b\n\n" % (seq, data)


def position_bytes(seq: int) -> bytes:
    """How far the stream has looked."""
    return b'id: %d\nevent: position\ndata: {"position":%d}\n\n' % (seq, seq)


def end_bytes(reason: str) -> bytes:
    """The clean end of a stream."""
    return b"event: end\ndata: " + msgspec.json.encode({"end": reason}) + b"\n\n"


class SseReader:
    """Turns received bytes into frames; tolerates any chunking, CRLF and comments."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._id: int | None = None
        self._name = "message"
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames completed by this chunk."""
        self._buffer += chunk
        while (cut := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:cut]).rstrip(b"\r")
            del self._buffer[: cut + 1]
            if line:
                self._take_field(line)
            elif self._data:
                yield self._finish()
            else:
                self._name = "message"  # the standard's: what carries no data is no event
        if len(self._buffer) > LINE_MAX:
            raise StreamBroken("an SSE line is longer than any event")

    def _take_field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value)
            if self._size > LINE_MAX:
                raise StreamBroken("an SSE event is longer than any of ours")
            self._data.append(value)
        elif field == b"id" and value.isdigit() and len(value) <= DIGITS_MAX:
            self._id = int(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")

    def _finish(self) -> Frame:
        data, name, seq = b"\n".join(self._data), self._name, self._id
        self._data, self._size, self._name = [], 0, "message"
        if name == "position" and seq is not None:
            return Position(seq=seq)
        if name == "end":
            return End.parse(data)
        if seq is None:
            raise StreamBroken("an SSE event came without an id")
        return EventFrame(seq=seq, data=data)
