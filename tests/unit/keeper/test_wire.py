"""The frames between keepers and daemons: cut and joined anywhere, and strict about everything."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.keeper import wire
from moduprompt.keeper.wire import FrameError, FrameReader, Message

FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=8)


def message_of(**fields: object) -> Message:
    return Message(json.dumps(fields).encode())


@given(frames=FRAMES, cut=st.integers(1, 50))
def test_frames_survive_being_cut_anywhere(frames: list[tuple[int, bytes]], cut: int) -> None:
    stream = b"".join(wire.encode_bytes(kind, body) for kind, body in frames)
    reader = FrameReader()

    found = [frame for at in range(0, len(stream), cut) for frame in reader.feed(stream[at : at + cut])]

    assert found == frames


@given(noise=st.binary(max_size=2000))
def test_noise_is_refused_or_waited_for(noise: bytes) -> None:
    assert verdict_on(noise) in {"taken", "frame_too_large", "bad_json", "unknown_field"}


def verdict_on(stream: bytes) -> str:
    try:
        for _, body in FrameReader().feed(stream):
            Message(body).finish()
    except FrameError as error:
        return error.code
    return "taken"


def test_a_frame_over_the_limit_is_refused_by_its_head_alone() -> None:
    head = (wire.FRAME_BYTES_MAX + 1).to_bytes(4, "big") + bytes([wire.STATUS])

    with pytest.raises(FrameError) as refused:
        list(FrameReader().feed(head))

    assert refused.value.code == "frame_too_large"


@given(offset=st.integers(0, 2**64 - 1), data=st.binary(max_size=200))
def test_output_keeps_its_offset_and_its_bytes(offset: int, data: bytes) -> None:
    ((kind, body),) = FrameReader().feed(wire.encode_output(offset, data))

    assert kind == wire.OUTPUT
    assert wire.decode_output(body) == (offset, data)


def test_output_shorter_than_its_offset_is_refused() -> None:
    with pytest.raises(FrameError, match="shorter"):
        wire.decode_output(b"1234567")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff", b'"x"', b"[" * 100_000], ids=repr)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError) as refused:
        Message(body)

    assert refused.value.code == "bad_json"


def test_a_field_nobody_asked_for_is_refused_by_name() -> None:
    message = message_of(rows=1, colour="red")
    message.integer("rows", 0, 9)

    with pytest.raises(FrameError, match="colour") as refused:
        message.finish()

    assert refused.value.code == "unknown_field"


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [], -1, 10, 2**70])
def test_a_whole_number_is_one_and_within_bounds(value: object) -> None:
    with pytest.raises(FrameError, match="whole number from 0 to 9"):
        message_of(rows=value).integer("rows", 0, 9)


@pytest.mark.parametrize("value", [True, "1", None, -0.1, 9.1])
def test_a_number_is_one_and_within_bounds(value: object) -> None:
    with pytest.raises(FrameError, match="number from 0"):
        message_of(wait=value).number("wait", 0, 9)


@pytest.mark.parametrize("value", [1, None, "x" * 11, "a\0b", ["x"]])
def test_text_is_bounded_and_holds_no_nul(value: object) -> None:
    with pytest.raises(FrameError, match="without NUL"):
        message_of(name=value).text("name", 10)


@pytest.mark.parametrize("value", ["x", [1], ["a"] * 4, ["toolongtext"]])
def test_a_list_of_texts_is_bounded_in_length_and_in_each(value: object) -> None:
    with pytest.raises(FrameError):
        message_of(argv=value).texts("argv", 3, 10)


@pytest.mark.parametrize("value", ["a", "####", "YQ=", "YQ==\n", 3, b64encode(b"x" * 11).decode()])
def test_data_is_strict_base64_and_bounded(value: object) -> None:
    with pytest.raises(FrameError, match="base64"):
        message_of(data=value).data("data", 10)


@given(data=st.binary(max_size=100))
def test_data_comes_back(data: bytes) -> None:
    assert message_of(data=b64encode(data).decode()).data("data", 100) == data


def test_an_optional_field_may_be_null_or_absent() -> None:
    message = message_of(limit=None)

    assert not message.has("limit")
    assert not message.has("other")
    message.finish()
