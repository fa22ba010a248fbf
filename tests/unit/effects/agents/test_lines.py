"""Lines of programs that may print anything."""

from __future__ import annotations

import msgspec
import pytest

from moduprompt.domain.run.said import MARK_MAX, Digest
from moduprompt.effects.agents.lines import COUNT_MAX, NESTED_MAX, SHOWN_MAX, Fields, read_object, write_line


def fields(line: bytes) -> Fields:
    found = read_object(line)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "line", [b"", b"Warning: no network", b"[1]", b"null", b'{"a":', b"{" * 100_000, b'{"a":"\xff"}', b"\x00"]
)
def test_what_is_no_object_is_nothing(line: bytes) -> None:
    assert read_object(line) is None


def test_a_field_of_another_kind_reads_as_empty() -> None:
    found = fields(b'{"text":1,"count":"2","flag":"true","inner":[],"items":{}}')

    assert (found.text("text"), found.count("count"), found.flag("flag")) == ("", 0, False)
    assert not found.inner("inner")
    assert found.items("items") == ()
    assert found.mark("text", otherwise="none") == "none"


@pytest.mark.parametrize(
    "number", [b"-1", b"1e308", b"9" * 26, b"9" * 310, b"-" + b"9" * 310, b"true", b"0.5"]
)
def test_a_count_always_fits_the_log(number: bytes) -> None:
    line = read_object(b'{"count":' + number + b"}")

    assert line is None or 0 <= line.count("count") <= COUNT_MAX
    assert line is None or 0 <= line.micros("count") <= COUNT_MAX


def test_an_amount_of_money_is_counted_in_millionths() -> None:
    assert fields(b'{"cost":0.2912345}').micros("cost") == 291_235


def test_a_digest_is_the_values_whatever_the_order_of_its_fields() -> None:
    one, other = fields(b'{"in":{"a":1,"b":[2]}}'), fields(b'{"in":{"b":[2],"a":1}}')

    assert one.digest("in") == other.digest("in") != fields(b'{"in":{"a":1}}').digest("in")
    assert msgspec.convert(one.digest("in"), type=Digest)
    assert one.digest("absent")


def nested(depth: int, *, inside: bytes = b"1") -> bytes:
    return b'{"in":' + b'{"a":' * depth + inside + b"}" * depth + b"}"


@pytest.mark.parametrize("depth", [NESTED_MAX + 1, 900, *range(985, 1_000)])
def test_a_line_that_is_nested_too_deeply_is_nothing(depth: int) -> None:
    """How deep one can go hangs on who calls: what is read must be the same for everybody."""
    assert read_object(nested(depth)) is None


def test_a_line_with_many_values_is_read_however_many() -> None:
    found = fields(nested(NESTED_MAX // 2, inside=b"[" + b"[]," * 10_000 + b'"[[[[{{{{"]'))
    assert msgspec.convert(found.digest("in"), type=Digest)


@pytest.mark.parametrize("depth", [0, 30, NESTED_MAX - 3])
def test_what_is_shown_is_never_much_longer_than_the_line(depth: int) -> None:
    """Each value on a line of its own behind its indentation would make a gigabyte of a megabyte."""
    found = fields(nested(depth, inside=b"[" + b"1," * 100_000 + b"1]"))
    assert len(found.pretty("in")) <= SHOWN_MAX
    short = fields(nested(depth, inside=b"[" + b"1," * 1_000 + b"1]"))
    assert len(short.pretty("in")) <= SHOWN_MAX


def test_what_is_shown_of_a_few_arguments_is_indented() -> None:
    assert fields(b'{"in":{"command":"ls","n":1}}').pretty("in") == '{\n  "command": "ls",\n  "n": 1\n}'


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"a \ud83d b", "a \ufffd b"),
        (rb"\uDE00", "\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (rb"\ud83d\n", "\ufffd\n"),
    ],
)
def test_half_a_character_costs_that_character_and_not_the_line(written: bytes, read: str) -> None:
    """JavaScript cuts strings between the halves of a pair, and writes what is left as it is."""
    assert fields(b'{"text":"' + written + b'"}').text("text") == read


def test_names_are_cut_to_what_a_fact_takes() -> None:
    assert len(fields(b'{"tool":"' + b"x" * 999 + b'"}').mark("tool")) == MARK_MAX


def test_the_files_that_arguments_name_are_found_once_each() -> None:
    found = fields(b'{"in":{"file_path":"a.py","path":"a.py","filePath":"b.py","mode":3}}')

    assert found.paths("in") == ("a.py", "b.py")


def test_a_message_is_one_line() -> None:
    assert write_line({"text": "a\nb"}) == b'{"text":"a\\nb"}\n'
