"""SSE and NDJSON: what goes in comes out, however the bytes were cut; damage is said, never guessed."""

from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.protocol.framing import ndjson, sse
from moduprompt.protocol.framing.frames import End, EventFrame, Frame, Position, StreamBroken
from moduprompt.protocol.framing.ndjson import NdjsonReader
from moduprompt.protocol.framing.sse import SseReader

DEEP = b"[" * 200_000 + b"]" * 200_000
seqs = st.integers(min_value=1, max_value=2**53)


def an_event(seq: int, text: str) -> EventFrame:
    return EventFrame(seq=seq, data=msgspec.json.encode({"seq_global": seq, "payload": text}))


events = st.builds(an_event, seqs, st.text())
frames = st.lists(
    events | seqs.map(lambda seq: Position(seq=seq)) | st.text().map(lambda why: End(reason=why)), max_size=6
)


def to_sse(frame: Frame) -> bytes:
    match frame:
        case EventFrame():
            return sse.event_bytes(frame.seq, frame.data)
        case Position():
            return sse.position_bytes(frame.seq)
        case End():
            return sse.end_bytes(frame.reason)


def to_ndjson(frame: Frame) -> bytes:
    match frame:
        case EventFrame():
            return ndjson.event_bytes(frame.seq, frame.data)
        case Position():
            return ndjson.position_bytes(frame.seq)
        case End():
            return ndjson.end_bytes(frame.reason)


def read(make: Callable[[], SseReader | NdjsonReader], chunks: list[bytes]) -> list[Frame]:
    reader = make()
    return [frame for chunk in chunks for frame in reader.feed(chunk)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({min(place, len(stream)) for place in places} | {0, len(stream)})
    return [stream[a:b] for a, b in pairwise(marks)]


@given(frames, st.lists(st.integers(min_value=0, max_value=2_000), max_size=20))
def test_sse_comes_back_under_any_cutting(sent: list[Frame], places: list[int]) -> None:
    stream = b"".join(map(to_sse, sent))

    assert read(SseReader, cut(stream, places)) == sent
    assert read(SseReader, [bytes([byte]) for byte in stream]) == sent


@given(frames, st.lists(st.integers(min_value=0, max_value=2_000), max_size=20))
def test_ndjson_comes_back_under_any_cutting(sent: list[Frame], places: list[int]) -> None:
    stream = b"".join(map(to_ndjson, sent))

    assert read(NdjsonReader, cut(stream, places)) == sent
    assert read(NdjsonReader, [bytes([byte]) for byte in stream]) == sent


@given(frames)
def test_sse_may_come_with_comments_and_carriage_returns(sent: list[Frame]) -> None:
    stream = b": hello\n\n" + b": ping\n".join([b"", *map(to_sse, sent)])

    assert read(SseReader, [stream.replace(b"\n", b"\r\n")]) == sent


def test_many_frames_in_one_large_chunk_are_no_long_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LINE_MAX", 1_000)
    monkeypatch.setattr(ndjson, "LINE_MAX", 1_000)
    sent: list[Frame] = [EventFrame(seq=n, data=b'{"seq_global":%d}' % n) for n in range(1, 200)]

    assert read(SseReader, [b"".join(map(to_sse, sent))]) == sent
    assert read(NdjsonReader, [b"".join(map(to_ndjson, sent))]) == sent


@pytest.mark.parametrize("make", [SseReader, NdjsonReader])
def test_a_line_without_an_end_is_given_up(
    make: Callable[[], SseReader | NdjsonReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "LINE_MAX", 1_000)
    monkeypatch.setattr(ndjson, "LINE_MAX", 1_000)

    with pytest.raises(StreamBroken):
        read(make, [b"data: " + b"x" * 600, b"y" * 600])


def test_an_sse_event_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LINE_MAX", 1_000)

    with pytest.raises(StreamBroken):
        read(SseReader, [b"data: xxxxxxxxxxxxxxxxxxxx\n" * 200])


def test_the_name_of_an_sse_event_without_data_does_not_stick() -> None:
    stream = b"event: position\nid: 4\n\n" + sse.event_bytes(5, b"{}")

    assert read(SseReader, [stream]) == [EventFrame(seq=5, data=b"{}")]


@pytest.mark.parametrize(
    "stream",
    [
        b"data: {}\n\n",
        b"id: " + b"9" * 5_000 + b"\ndata: {}\n\n",
        b"event: end\ndata: nonsense\n\n",
        b"event: end\ndata: {}\n\n",
        b"event: end\ndata: " + DEEP + b"\n\n",
    ],
)
def test_a_damaged_sse_stream_is_said_to_be_broken(stream: bytes) -> None:
    with pytest.raises(StreamBroken):
        read(SseReader, [stream])


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b"{}",
        b'{"seq_global":"x"}',
        b'{"seq_global":1.5}',
        b'{"seq_global":-1}',
        b'{"position":-1}',
        b'{"seq_global":' + b"9" * 400 + b"}",
        b'{"x":' + DEEP + b"}",
        b'{"end":\xff}',
        b'{"end":"\xff"}',
    ],
)
def test_a_damaged_ndjson_stream_is_said_to_be_broken(line: bytes) -> None:
    with pytest.raises(StreamBroken):
        read(NdjsonReader, [line + b"\n"])


def test_an_end_may_say_more_than_we_know() -> None:
    assert read(SseReader, [b'event: end\ndata: {"end":"draining","after_s":3}\n\n']) == [
        End(reason="draining")
    ]
    assert read(NdjsonReader, [b'{"end":"draining","after_s":3}\n']) == [End(reason="draining")]


@given(st.binary(max_size=300))
def test_no_bytes_make_a_reader_raise_anything_else(stream: bytes) -> None:
    for make in (SseReader, NdjsonReader):
        try:
            read(make, [stream])
        except StreamBroken:
            continue
