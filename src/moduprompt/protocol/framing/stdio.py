"""Frames: one JSON object each, a line on standard input and output, a message on a WebSocket.

    → {"request_id"?, "type": "command.submit", "schema_version": 1, "payload": {…}}
    ← {"request_id"?, "type": "command.submit.response", "schema_version": 1, "payload": {…}}
    ← {"request_id"?, "type": "error", "schema_version": 1, "payload": {"code", "message", …}}
    ← {"request_id", "type": "events.event", "schema_version": 1, "payload": {…the event…}}
    ← {"request_id", "type": "events.event", "schema_version": 1, "position": 57}
    ← {"request_id", "type": "events.event", "schema_version": 1, "end": "draining"}

What comes in is read strictly. Exactly one answer goes out for each request; what a subscription
pushes carries the id of the request that began it.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec

from moduprompt.protocol import COMMAND_BYTES_MAX, ErrorObject, Rejection, decode, encode, to_error, too_large
from moduprompt.protocol.framing.frames import End, EventFrame, Frame, Position, StreamBroken

FRAME_BYTES_MAX: Final = COMMAND_BYTES_MAX + 64 * 1024  # the largest command with its wrapping
REQUEST_ID_MAX: Final = 128  # as for trace ids: a client's own string
PUSHED: Final = "events.event"
ERROR: Final = "error"

RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=REQUEST_ID_MAX)]


class FrameRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client asks for."""

    type: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    schema_version: Literal[1]
    payload: msgspec.Raw
    request_id: RequestId | None = None


class FrameReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client gets: an answer, an error, or what a subscription pushes."""

    request_id: str | None = None
    type: str
    schema_version: int
    payload: msgspec.Raw = msgspec.Raw(b"")
    position: int | None = None
    end: str | None = None


class _Named(msgspec.Struct, frozen=True):
    request_id: RequestId | None = None


class _Seq(msgspec.Struct, frozen=True):
    seq_global: int


_seq_decoder = msgspec.json.Decoder(_Seq)


def decode_request(data: bytes) -> FrameRequest | Rejection:
    """A request, or why it is none."""
    if len(data) > FRAME_BYTES_MAX:
        return too_large(len(data), FRAME_BYTES_MAX, limit="frame_bytes")
    return decode(data, FrameRequest)


def request_id_of(data: bytes) -> str | None:
    """The id of what is no request otherwise, so that its error finds its way back."""
    named = decode(data, _Named)
    return None if isinstance(named, Rejection) else named.request_id


def response_bytes(request: FrameRequest, payload: bytes) -> bytes:
    """The answer to a request; `payload` is a JSON document."""
    return _frame(request.request_id, f"{request.type}.response", payload)


def error_bytes(request_id: str | None, error: ErrorObject | Rejection) -> bytes:
    """The refusal of a request."""
    told = to_error(error) if isinstance(error, Rejection) else error
    return _frame(request_id, ERROR, encode(told))


def pushed_head(request_id: str | None) -> bytes:
    """How an event's frame begins: what each subscription has of its own."""
    return b"{" + _named(request_id)


def pushed_tail(_seq: int, data: bytes) -> bytes:
    """How it goes on: the same for all subscriptions."""
    return b'"type":%b,"schema_version":1,"payload":%b}' % (encode(PUSHED), data)


def pushed_bytes(request_id: str | None, frame: Frame) -> bytes:
    """What a subscription has to say."""
    match frame:
        case EventFrame():
            return pushed_head(request_id) + pushed_tail(frame.seq, frame.data)
        case Position():
            return _moved(request_id, position=frame.seq)
        case End():
            return _moved(request_id, end=frame.reason)


def decode_reply(data: bytes) -> FrameReply:
    """What a daemon sent. Raises StreamBroken."""
    reply = decode(data, FrameReply)
    if isinstance(reply, Rejection):
        raise StreamBroken(f"no frame of a daemon: {reply.message}")
    return reply


def to_pushed(reply: FrameReply) -> Frame:
    """What a subscription said. Raises StreamBroken."""
    if reply.position is not None:
        return Position(seq=reply.position)
    if reply.end is not None:
        return End(reason=reply.end)
    data = bytes(reply.payload)
    try:
        return EventFrame(seq=_seq_decoder.decode(data).seq_global, data=data)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise StreamBroken("a pushed frame without an event") from fault


class LineCutter:
    """Turns received bytes into lines; tolerates any chunking and empty lines."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines completed by this chunk. Raises StreamBroken where one does not end."""
        self._buffer += chunk
        while (cut := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:cut]).strip()
            del self._buffer[: cut + 1]
            if line:
                yield line
        if len(self._buffer) > FRAME_BYTES_MAX:
            raise StreamBroken(f"a line is longer than {FRAME_BYTES_MAX} bytes")


def _frame(request_id: str | None, type_: str, payload: bytes) -> bytes:
    return b'{%b"type":%b,"schema_version":1,"payload":%b}' % (_named(request_id), encode(type_), payload)


def _named(request_id: str | None) -> bytes:
    return b'"request_id":%b,' % encode(request_id) if request_id is not None else b""


def _moved(request_id: str | None, **told: int | str) -> bytes:
    named = {} if request_id is None else {"request_id": request_id}
    return encode({**named, "type": PUSHED, "schema_version": 1, **told})
