# pyright: reportPrivateUsage=false
# A decoder is tried where it stands, whether others may call it or not.
"""What clients and daemons read of each other: envelopes, events, answers, frames, streams, ids, cursors, times."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import msgspec
from starlette.requests import Request

from moduprompt.cli.live.lines import to_change, to_line
from moduprompt.cli.live.names import Names
from moduprompt.client._answers import to_answer, to_refusal
from moduprompt.client._channel import Reply, _retry_after
from moduprompt.client._errors import AnswerBroken, RequestRefused
from moduprompt.domain.decider import Command, Event
from moduprompt.domain.registry import COMMANDS, UnreadableEvent, known_event, read_event, upcast
from moduprompt.protocol import (
    CommandEnvelope,
    EventEnvelope,
    Rejection,
    Subject,
    decode,
    decode_command,
    decode_event,
    encode,
    from_cursor,
    is_id,
    to_cursor,
    to_micros,
    to_timestamp,
)
from moduprompt.protocol.framing import ndjson, sse
from moduprompt.protocol.framing.frames import End, EventFrame, Frame, Position, StreamBroken
from moduprompt.protocol.framing.ndjson import NdjsonReader
from moduprompt.protocol.framing.sse import SseReader
from moduprompt.protocol.framing.stdio import (
    FrameReply,
    FrameRequest,
    LineCutter,
    decode_reply,
    decode_request,
    error_bytes,
    pushed_bytes,
    request_id_of,
    response_bytes,
    to_pushed,
)
from moduprompt.server.replies import trace_of
from moduprompt.server.streams.frames import to_error_object
from moduprompt.views.memory import MemoryRows
from tests.support.domain import WORKSPACE
from tests.support.fuzzing.decoder import Decoder, text
from tests.support.old_events import OLDEST, RENAMED_UPCASTERS
from tests.support.samples import SAMPLE_ID, SAMPLE_TIME, sample
from tests.support.source_tree import ROOT

HISTORY: Final = tuple((ROOT / "tests/golden/histories/demo.ndjson").read_bytes().splitlines())
RELEASED: Final = tuple(
    (file.name.removesuffix(".v1.json"), file.read_bytes().strip())
    for file in sorted((ROOT / "tests/golden/events").glob("*.v1.json"))
)
"""Type and payload of every event that was released in its first version."""
PAYLOADS: Final = tuple((kind, encode(sample(kind))) for kind in COMMANDS.values())
TRACE: Final = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REQUEST: Final = b'{"request_id":"1","type":"command.submit","schema_version":1,"payload":{"a":1}}'
ACCEPTED: Final = b'{"accepted":true,"command_id":"c","trace_id":"t","seq_global":3,"events":[{"a":1}]}'
REFUSED: Final = (
    b'{"accepted":false,"command_id":"c","trace_id":"t","rejection":{"code":"not_found","message":"m"}}'
)
ERROR: Final = b'{"code":"not_found","message":"m","details":{"a":"b","c":[1]},"hint":"h"}'


def enveloped(event_type: str, payload: bytes, *, version: int = 1) -> bytes:
    """A stored event that says this."""
    first = decode_event(HISTORY[0])
    subject = Subject(kind=event_type.partition(".")[0], id=SAMPLE_ID)
    changed = msgspec.structs.replace(
        first,
        event_type=event_type,
        payload=msgspec.Raw(payload),
        schema_version=version,
        subject=subject,
    )
    return encode(changed)


STORED: Final = tuple(enveloped(name, payload) for name, payload in RELEASED)


def in_envelope(kind: type[Command], payload: bytes) -> bytes:
    """A command as it is sent."""
    return encode(
        CommandEnvelope(
            type=kind.wire,
            schema_version=kind.version,
            payload=msgspec.Raw(payload),
            idempotency_key="k",
            expected_version=3,
            trace_id="t",
        )
    )


def read_command(data: bytes) -> object:
    """Envelope and payload, as the gate of schemas does."""
    envelope = decode_command(data)
    if isinstance(envelope, Rejection):
        return envelope
    kind = COMMANDS.get((envelope.type, envelope.schema_version))
    return envelope if kind is None else (envelope, decode(envelope.payload, kind))


def write_command(read: tuple[CommandEnvelope, Command]) -> bytes:
    """As it was sent."""
    envelope, command = read
    return encode(msgspec.structs.replace(envelope, payload=msgspec.Raw(encode(command))))


def read_payload(data: bytes) -> object:
    """As every command there is: one of them is meant."""
    return [decode(data, kind) for kind in COMMANDS.values()]


def read_stored(data: bytes) -> object:
    """An event and what it says, as a kernel reads it and as a client does."""
    event = decode_event(data)
    assert to_line(to_change(event, known_event(event), Names(MemoryRows()))).isprintable()
    return event, read_event(event)


def write_stored(read: tuple[EventEnvelope, Event | None]) -> bytes:
    """As it was stored."""
    return encode(read[0])


def read_old(data: bytes) -> object:
    """An event of an older version."""
    return upcast(decode_event(data), RENAMED_UPCASTERS)


def fed(make: Callable[[], SseReader | NdjsonReader]) -> Callable[[bytes], list[Frame]]:
    """In two pieces, as a network would."""

    def read(data: bytes) -> list[Frame]:
        reader, half = make(), len(data) // 2
        return [frame for part in (data[:half], data[half:]) for frame in reader.feed(part)]

    return read


def streamed(framing: "type[sse.SseReader | ndjson.NdjsonReader]") -> Callable[[list[Frame]], bytes]:
    """Frames as their framing writes them."""
    written = sse if framing is SseReader else ndjson

    def write(frames: list[Frame]) -> bytes:
        pieces: list[bytes] = []
        for frame in frames:
            match frame:
                case EventFrame():
                    pieces.append(written.event_bytes(frame.seq, frame.data))
                case Position():
                    pieces.append(written.position_bytes(frame.seq))
                case End():
                    pieces.append(written.end_bytes(frame.reason))
        return b"".join(pieces)

    return write


def a_stream(framing: Callable[[list[Frame]], bytes]) -> tuple[bytes, ...]:
    """Events, a position and an end."""
    events = [EventFrame(seq=number, data=data) for number, data in enumerate(HISTORY[:2], start=1)]
    return (framing([*events, Position(seq=7)]), framing([End(reason="draining")]))


def read_reply(data: bytes) -> object:
    """What a daemon sent on a socket; of what a subscription pushes, what it says."""
    reply = decode_reply(data)
    return to_pushed(reply) if reply.type == "events.event" else reply


def write_reply(read: Frame | FrameReply) -> bytes:
    """As it was sent."""
    return encode(read) if isinstance(read, FrameReply) else pushed_bytes("1", read)


def read_request(data: bytes) -> object:
    """A frame; of what is none, its id."""
    request = decode_request(data)
    return request_id_of(data) if isinstance(request, Rejection) else request


def write_lines(lines: list[bytes]) -> bytes:
    """Each with its break."""
    return b"".join(line + b"\n" for line in lines)


def read_answer(data: bytes) -> object:
    """An answer to a command, and the refusal that the same bytes would be."""
    to_refusal(500, data)
    to_error_object(data)
    return to_answer(Reply(status=200, headers=MappingProxyType({}), body=data))


def read_pause(data: bytes) -> object:
    """`Retry-After`."""
    found = _retry_after(
        Reply(status=503, headers=MappingProxyType({"retry-after": data.decode("latin-1")}), body=b"")
    )
    assert 0 <= found <= 5
    return found


def read_trace(data: bytes) -> object:
    """`traceparent`."""
    raw = [(b"traceparent", data)]
    return trace_of(
        Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "query_string": b""})
    )


def read_id(data: bytes) -> object:
    """Only what has the form is an id."""
    taken = is_id(text(data))
    assert not taken or len(data) == len(SAMPLE_ID)
    return taken


ON_THE_WIRE: Final[tuple[Decoder, ...]] = (
    Decoder(
        covers=("protocol._codec:decode_command", "protocol._codec:decode"),
        samples=tuple(in_envelope(kind, payload) for kind, payload in PAYLOADS),
        read=read_command,
        again=write_command,
    ),
    Decoder(covers=("commands:payloads",), samples=tuple(data for _, data in PAYLOADS), read=read_payload),
    Decoder(
        covers=(
            "protocol._codec:decode_event",
            "domain.registry:read_event",
        ),
        samples=(*STORED, *HISTORY[::20]),
        read=read_stored,
        refuses=(msgspec.DecodeError, UnreadableEvent),
        again=write_stored,
    ),
    Decoder(
        covers=("domain.registry:upcast",),
        samples=(
            enveloped(
                "workspace.renamed", b'{"workspace_id":"%b","title":"t"}' % WORKSPACE.encode(), version=OLDEST
            ),
        ),
        read=read_old,
        refuses=(msgspec.DecodeError, UnreadableEvent),
    ),
    Decoder(
        covers=("protocol._cursors:from_cursor",),
        samples=(to_cursor("tasks", SAMPLE_ID).encode(),),
        also=(to_cursor("runs", SAMPLE_ID).encode(),),
        read=lambda data: from_cursor("tasks", text(data)),
    ),
    Decoder(covers=("protocol._ids:is_id",), samples=(SAMPLE_ID.encode(),), read=read_id),
    Decoder(
        covers=("protocol._times:to_micros",),
        samples=(SAMPLE_TIME.encode(), b"0001-01-01T00:00:00.000000Z", b"9999-12-31T23:59:59.999999Z"),
        read=lambda data: to_micros(text(data)),
        refuses=(ValueError,),
        again=lambda at: to_timestamp(at).encode(),
    ),
    Decoder(covers=("server.replies:trace_of",), samples=(TRACE,), read=read_trace),
    Decoder(covers=("client._channel:_retry_after",), samples=(b"1", b"120", b"\xb9"), read=read_pause),
    Decoder(
        covers=("protocol.framing.sse:SseReader.feed", "protocol.framing.frames:End.parse"),
        samples=a_stream(streamed(SseReader)),
        read=fed(SseReader),
        refuses=(StreamBroken,),
        again=streamed(SseReader),
    ),
    Decoder(
        covers=("protocol.framing.ndjson:NdjsonReader.feed",),
        samples=a_stream(streamed(NdjsonReader)),
        read=fed(NdjsonReader),
        refuses=(StreamBroken,),
        again=streamed(NdjsonReader),
    ),
    Decoder(
        covers=("protocol.framing.stdio:decode_request",),
        samples=(REQUEST,),
        read=read_request,
        again=encode,
    ),
    Decoder(
        covers=("protocol.framing.stdio:decode_reply",),
        samples=(
            pushed_bytes("1", EventFrame(seq=1, data=HISTORY[0])),
            pushed_bytes("1", Position(seq=2)),
            pushed_bytes("1", End(reason="draining")),
            error_bytes("1", Rejection(code="not_found", message="m")),  # pyright: ignore[reportArgumentType] - as on the wire
            response_bytes(
                FrameRequest(type="auth", schema_version=1, payload=msgspec.Raw(b"{}")), b'{"a":1}'
            ),
        ),
        read=read_reply,
        refuses=(StreamBroken,),
        again=write_reply,
    ),
    Decoder(
        covers=("protocol.framing.stdio:LineCutter.feed",),
        samples=(REQUEST + b"\n\n" + REQUEST + b"\n",),
        read=lambda data: list(LineCutter().feed(data)),
        refuses=(StreamBroken,),
        again=write_lines,
    ),
    Decoder(
        covers=("client._answers:to_answer",),
        samples=(ACCEPTED, REFUSED),
        also=(ERROR,),
        read=read_answer,
        refuses=(AnswerBroken, RequestRefused),
    ),
)
"""Between clients and daemons."""
