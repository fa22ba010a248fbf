"""Frames: what a client may ask, what it gets, and lines however they are cut."""

from __future__ import annotations

import msgspec
import pytest

from moduprompt.protocol import Code, Rejection, refusal
from moduprompt.protocol.framing import stdio
from moduprompt.protocol.framing.frames import End, EventFrame, Frame, Position, StreamBroken
from moduprompt.protocol.framing.stdio import (
    FRAME_BYTES_MAX,
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

ASKED = b'{"request_id":"r","type":"query.board","schema_version":1,"payload":{"a":1}}'
FRAMES = (
    EventFrame(seq=7, data=b'{"seq_global":7,"payload":{"x":"\\n"}}'),
    Position(seq=9),
    End(reason="draining"),
)


def asked(data: bytes = ASKED) -> FrameRequest:
    request = decode_request(data)
    assert not isinstance(request, Rejection), request
    return request


def test_a_request_is_read_with_its_payload_as_it_came() -> None:
    request = asked()
    assert (request.request_id, request.type, bytes(request.payload)) == ("r", "query.board", b'{"a":1}')


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"x"',
        b'{"type":"x","schema_version":1}',
        b'{"type":"x","schema_version":2,"payload":{}}',
        b'{"type":"","schema_version":1,"payload":{}}',
        b'{"type":"x","schema_version":1,"payload":{},"more":1}',
        b'{"request_id":"","type":"x","schema_version":1,"payload":{}}',
        b'{"request_id":7,"type":"x","schema_version":1,"payload":{}}',
        b'{"request_id":"' + b"r" * 129 + b'","type":"x","schema_version":1,"payload":{}}',
        b'{"type":"x","schema_version":1,"payload":' + b"[" * 100_000,
        b"\xff",
        b" " * (FRAME_BYTES_MAX + 1),
    ],
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    refused = decode_request(data)
    assert isinstance(refused, Rejection)
    assert refused.code is Code.INVALID_SCHEMA


def test_an_error_finds_its_way_back_also_where_the_rest_is_wrong() -> None:
    assert request_id_of(b'{"request_id":"r","surprise":1}') == "r"
    assert request_id_of(b'{"request_id":7}') is None
    assert request_id_of(b"no json") is None


def test_an_answer_names_what_it_answers() -> None:
    reply = decode_reply(response_bytes(asked(), b'{"ok":true}'))
    assert (reply.request_id, reply.type, reply.schema_version) == ("r", "query.board.response", 1)
    assert bytes(reply.payload) == b'{"ok":true}'
    assert b"request_id" not in response_bytes(asked(ASKED.replace(b'"request_id":"r",', b"")), b"{}")


def test_an_error_is_the_contracts_object() -> None:
    reply = decode_reply(error_bytes("r", refusal(Code.NOT_FOUND, "no such thing", hint="look")))
    assert (reply.request_id, reply.type) == ("r", "error")
    assert msgspec.json.decode(reply.payload) == {
        "code": "not_found",
        "message": "no such thing",
        "hint": "look",
    }


@pytest.mark.parametrize("frame", FRAMES)
def test_what_is_pushed_is_read_again_on_one_line(frame: Frame) -> None:
    data = pushed_bytes('a "quoted" one', frame)
    reply = decode_reply(data)
    assert (reply.request_id, reply.type) == ('a "quoted" one', "events.event")
    assert to_pushed(reply) == frame
    assert b"\n" not in data


@pytest.mark.parametrize("data", [b"[]", b"x", b'{"type":1,"schema_version":1}', b"\xff"])
def test_what_no_daemon_says_breaks_the_stream(data: bytes) -> None:
    with pytest.raises(StreamBroken):
        decode_reply(data)


def test_a_pushed_frame_without_an_event_breaks_the_stream() -> None:
    with pytest.raises(StreamBroken):
        to_pushed(decode_reply(b'{"type":"events.event","schema_version":1,"payload":{}}'))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_lines_are_the_same_however_they_are_cut(size: int) -> None:
    cutter, whole = LineCutter(), b"one\n\n two \r\nthree\nfo"
    found = [
        line for start in range(0, len(whole), size) for line in cutter.feed(whole[start : start + size])
    ]
    assert found == [b"one", b"two", b"three"]
    assert list(cutter.feed(b"ur\n")) == [b"four"]


def test_a_line_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "FRAME_BYTES_MAX", 10)
    with pytest.raises(StreamBroken):
        list(LineCutter().feed(b"x" * 11))
