"""NDJSON: one JSON value a line; events as they are, `{"position":n}` and `{"end":"…"}` between."""

from collections.abc import Iterator
from typing import Final

import msgspec

from moduprompt.protocol import Seq
from moduprompt.protocol.framing.frames import End, EventFrame, Frame, Position, StreamBroken

LINE_MAX: Final = 16 * 1024 * 1024  # as for SSE


class _Line(msgspec.Struct, frozen=True):
    seq_global: Seq | None = None
    position: Seq | None = None
    end: str | None = None


_line_decoder = msgspec.json.Decoder(_Line)


def event_bytes(_seq: int, data: bytes) -> bytes:
    """One event."""
    return data + b"\n"


def position_bytes(seq: int) -> bytes:
    """How far the stream has looked."""
    return b'{"position":%d}\n' % seq


def end_bytes(reason: str) -> bytes:
    """The clean end of a stream."""
    return msgspec.json.encode({"end": reason}) + b"\n"


class NdjsonReader:
    """Turns received bytes into frames; tolerates any chunking and empty lines."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames completed by this chunk."""
        self._buffer += chunk
        while (cut := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:cut]).strip()
            del self._buffer[: cut + 1]
            if line:
                yield _to_frame(line)
        if len(self._buffer) > LINE_MAX:
            raise StreamBroken("an NDJSON line is longer than any event")


def _to_frame(line: bytes) -> Frame:
    try:
        known = _line_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise StreamBroken("an NDJSON line is no JSON object") from fault
    if known.seq_global is not None:
        return EventFrame(seq=known.seq_global, data=line)
    if known.position is not None:
        return Position(seq=known.position)
    if known.end is not None:
        return End(reason=known.end)
    raise StreamBroken("an NDJSON line is neither event, position nor end")
