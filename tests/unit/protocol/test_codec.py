"""What the codec takes and what it refuses, with the pointer that says where."""

from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.protocol import (
    COMMAND_BYTES_MAX,
    SEQ_MAX,
    Code,
    CommandEnvelope,
    Count,
    FieldError,
    Id,
    Name,
    Ref,
    Rejection,
    Seq,
    TaskId,
    Version,
    decode,
    decode_command,
    decode_event,
    encode,
)

DEEP = 200_000


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of each bounded type."""

    id: Id[TaskId] | None = None
    ref: Ref | None = None
    name: Name | None = None
    seq: Seq = 0
    count: Count = 0
    version: Version = 0
    mode: Literal["fast", "slow"] = "fast"
    table: dict[str, int] = {}
    nested: "tuple[Sample, ...]" = ()


def envelope(**changes: str) -> bytes:
    """A command's bytes; a change is the raw JSON of a field."""
    fields = {
        "type": '"project.rename"',
        "schema_version": "1",
        "payload": "{}",
        "trace_id": '"t"',
        **changes,
    }
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


def pointer(refused: object) -> str:
    assert isinstance(refused, Rejection), refused
    assert refused.code is Code.INVALID_SCHEMA
    errors = (refused.details or {})["errors"]
    assert isinstance(errors, list)
    assert isinstance(errors[0], FieldError)
    return errors[0].pointer


def test_a_command_envelope_comes_back_with_its_payload_verbatim() -> None:
    raw = '{"a" : [1, 2.50, "é"]}'

    taken = decode_command(envelope(payload=raw, idempotency_key='"k"', expected_version="4"))

    assert isinstance(taken, CommandEnvelope)
    assert (taken.type, taken.schema_version, taken.idempotency_key) == ("project.rename", 1, "k")
    assert (taken.expected_version, taken.trace_id, bytes(taken.payload)) == (4, "t", raw.encode())


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"extra": "1"}, "/extra"),
        ({"actor": '{"kind":"user"}'}, "/actor"),
        ({"type": "7"}, "/type"),
        ({"type": '""'}, "/type"),
        ({"type": "null"}, "/type"),
        ({"schema_version": "1.0"}, "/schema_version"),
        ({"schema_version": "1e0"}, "/schema_version"),
        ({"schema_version": "true"}, "/schema_version"),
        ({"schema_version": '"1"'}, "/schema_version"),
        ({"schema_version": "0"}, "/schema_version"),
        ({"schema_version": "9" * 500}, "/schema_version"),
        ({"expected_version": "-1"}, "/expected_version"),
        ({"expected_version": str(SEQ_MAX + 1)}, "/expected_version"),
        ({"expected_version": "1.5"}, "/expected_version"),
        ({"idempotency_key": '""'}, "/idempotency_key"),
        ({"idempotency_key": f'"{"k" * 201}"'}, "/idempotency_key"),
        ({"trace_id": f'"{"t" * 129}"'}, "/trace_id"),
        ({"trace_id": "[]"}, "/trace_id"),
    ],
)
def test_an_envelope_that_does_not_fit_is_refused_where_it_does_not(
    changes: dict[str, str], where: str
) -> None:
    assert pointer(decode_command(envelope(**changes))) == where


@pytest.mark.parametrize("field", ["type", "schema_version", "payload"])
def test_a_missing_field_is_named(field: str) -> None:
    body = msgspec.json.decode(envelope())
    del body[field]

    assert pointer(decode_command(msgspec.json.encode(body))) == f"/{field}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"nonsense",
        b"null",
        b"[]",
        b"7",
        b"{",
        envelope()[:-1],
        envelope() + b"{}",
        envelope() + b"x",
        b"\xef\xbb\xbf" + envelope(),
        b"\x00" + envelope(),
        envelope(type='"\\ud800"'),
        envelope(type='"\\ud800\\u0041"'),
        b'{"type":"\xff","schema_version":1,"payload":{}}',
        envelope(type='"tab\tinside"'),
        envelope(schema_version="01"),
        envelope(schema_version="NaN"),
        envelope(payload="{'a':1}"),
        envelope(payload="[1,]"),
    ],
)
def test_what_is_no_envelope_is_refused_and_never_raises(body: bytes) -> None:
    assert pointer(decode_command(body)) == "" or pointer(decode_command(body)) == "/schema_version"


@pytest.mark.parametrize("opened", ["[", '{"a":'])
@pytest.mark.parametrize("field", ["payload", "type", "unknown"])
def test_deep_nesting_is_refused_wherever_it_stands(opened: str, field: str) -> None:
    closed = "]" if opened == "[" else "1}"
    closing = closed * DEEP if opened == "[" else "1" + "}" * DEEP

    assert isinstance(decode_command(envelope(**{field: opened * DEEP + closing})), Rejection)
    assert isinstance(decode_command(envelope(**{field: opened * DEEP})), Rejection)


def test_a_typed_value_that_is_nested_too_deeply_is_refused() -> None:
    deep = b'{"nested":[' * DEEP + b"]}" * DEEP

    assert isinstance(decode(deep, Sample), Rejection)


def test_a_damaged_event_raises_one_kind_of_error() -> None:
    for data in (b"", b"{}", b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}", b"\xff", b'{"event_id":"\xff"}'):
        with pytest.raises(msgspec.DecodeError):
            decode_event(data)


def test_a_body_above_its_bound_is_refused_before_it_is_read() -> None:
    refused = decode_command(b"[" * (COMMAND_BYTES_MAX + 1))

    assert isinstance(refused, Rejection)
    assert (refused.details or {})["size"] == COMMAND_BYTES_MAX + 1
    assert isinstance(
        decode_command(envelope(payload=f'"{"x" * (COMMAND_BYTES_MAX - 200)}"')), CommandEnvelope
    )


def test_the_last_of_two_equal_fields_counts() -> None:
    """RFC 8259 leaves it open. The digest of a key is taken of what was decoded, so nothing hides."""
    taken = decode_command(envelope(type='"a.b","type":"c.d"'))

    assert isinstance(taken, CommandEnvelope)
    assert taken.type == "c.d"


@pytest.mark.parametrize("field", ["seq", "count", "version"])
@pytest.mark.parametrize(
    "value", ["-1", str(SEQ_MAX + 1), str(2**63), str(2**64), "9" * 400, "1.0", "1e3", '"1"', "true"]
)
def test_a_number_that_not_every_reader_holds_exactly_is_refused(field: str, value: str) -> None:
    assert pointer(decode(f'{{"{field}":{value}}}'.encode(), Sample)) == f"/{field}"


@pytest.mark.parametrize("field", ["seq", "count", "version"])
def test_the_largest_exact_number_is_taken(field: str) -> None:
    assert isinstance(decode(f'{{"{field}":{SEQ_MAX}}}'.encode(), Sample), Sample)


@pytest.mark.parametrize(
    "id_",
    [
        "",
        "x",
        "00000000-0000-4000-8000-000000000000",
        "00000000-0000-7000-c000-000000000000",
        "0190F000-0000-7000-8000-000000000000",
        "00000000-0000-7000-8000-000000000000\n",
        "\n00000000-0000-7000-8000-000000000000",
        " 00000000-0000-7000-8000-000000000000",
        "00000000000070008000000000000000",
        "00000000-0000-7000-8000-00000000000٣",
        "../../../../etc/passwd",
    ],
)
def test_only_a_lower_case_uuid7_is_an_id(id_: str) -> None:
    assert pointer(decode(encode({"id": id_}), Sample)) == "/id"


@pytest.mark.parametrize(
    "ref", ["", "blake3:", "blake3:" + "0" * 63, "blake3:" + "0" * 64 + "\n", "sha256:" + "0" * 64]
)
def test_only_a_whole_hash_is_a_reference(ref: str) -> None:
    assert pointer(decode(encode({"ref": ref}), Sample)) == "/ref"


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "\t",
        "two\nlines",
        "end\n",
        "\n",
        "\x00",
        "\x1b",
        "\x1b[2J",
        "a\x1b",
        "\x7f",
        "a\x9b2J",
        "x" * 201,
    ],
)
def test_a_name_is_one_visible_line(name: str) -> None:
    assert pointer(decode(encode({"name": name}), Sample)) == "/name"


@pytest.mark.parametrize("name", ["x", " x ", "größe 東京 🎉", "a b", "x" * 200])
def test_a_name_may_be_in_any_script(name: str) -> None:
    assert decode(encode({"name": name}), Sample) == Sample(name=name)


def test_a_pointer_follows_nesting_and_escapes() -> None:
    assert pointer(decode(b'{"nested":[{},{"nested":[{"seq":-1}]}]}', Sample)) == "/nested/1/nested/0/seq"
    assert pointer(decode(b'{"a/b~c":1}', Sample)) == "/a~1b~0c"
    assert pointer(decode(b'{"table":{"k":"x"}}', Sample)) == "/table/..."


@pytest.mark.parametrize(
    "body",
    [
        b'{"mode":"s3cret"}',
        b'{"name":"s3cret\\n"}',
        b'{"id":"s3cret"}',
        b'{"seq":"s3cret"}',
        b'{"table":{"a":"s3cret"}}',
        b'"s3cret"',
    ],
)
def test_a_refusal_never_echoes_a_value(body: bytes) -> None:
    assert b"s3cret" not in encode(decode(body, Sample))


def test_a_refusal_holds_no_control_characters() -> None:
    refused = decode(b'{"a\\u001b[2J\\u0000`b\\n":1}', Sample)

    assert isinstance(refused, Rejection)
    assert refused.message.isprintable()


def test_a_refusal_is_short_whatever_came() -> None:
    refused = decode(encode({"x" * 100_000: 1}), Sample)

    assert len(encode(refused)) < 2_000


@given(st.binary(max_size=200))
def test_no_bytes_make_the_codec_raise(body: bytes) -> None:
    assert isinstance(decode_command(body), CommandEnvelope | Rejection)
    assert isinstance(decode(body, Sample), Sample | Rejection)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["type", "schema_version", "payload", "trace_id", "x"]), JSON))
def test_no_document_makes_the_codec_raise(document: dict[str, object]) -> None:
    taken = decode_command(msgspec.json.encode(document))

    assert isinstance(taken, CommandEnvelope | Rejection)


def test_a_text_of_the_wrong_form_is_refused_in_words_and_not_in_a_pattern() -> None:
    refused = decode(b'{"name":"a\\nb"}', Sample)
    assert isinstance(refused, Rejection)
    assert refused.message.startswith("/name: does not have the form")
    assert "regex" not in refused.message
