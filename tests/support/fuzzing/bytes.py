"""Bytes to try a decoder with: its own good ones, damaged in the ways that damage happens, and known nasty ones."""

from collections.abc import Callable, Iterator
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

DEPTH: Final = 20_000  # far beyond what any recursive reader can hold
PLACES: Final = 6  # the fuzz meets the rest
DIGITS: Final = 5_000  # more than Python turns into a number by default

NASTY: Final[tuple[bytes, ...]] = (
    b"",
    b"\x00",
    b"\n",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9007199254740993",  # 2^53 + 1: the first that a double can't say
    b"-9223372036854775809",
    b"9" * DIGITS,
    b"0x" + b"f" * DIGITS,
    b"[" * DEPTH,
    b"[" * DEPTH + b"]" * DEPTH,
    b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    b"a=" + b"[" * DEPTH,
    b"a=" + b"9" * DIGITS,
    b'{"a":1,"a":2}',
    b'"\\ud800"',
    b'"\xed\xa0\x80"',  # a lone surrogate, as UTF-8 would write it if it might
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    "²".encode(),  # a digit that is no number
    "٣".encode(),
)
"""What has broken some reader of bytes at some time."""

VALUES: Final[tuple[bytes, ...]] = (
    *(each for each in NASTY if each),
    b"true",
    b"-1",
    b"0.5",
    b'"' + b"x" * 2_000 + b'"',
    b'"\\u0000"',
    b'"2026-13-45T99:99:99.000000Z"',
)
"""What is put where a value stood."""

Change = Callable[[bytes], bytes]


def damaged(samples: tuple[bytes, ...]) -> SearchStrategy[bytes]:
    """The samples, changed in one to four places; and noise; and what is nasty by itself."""
    whole = st.sampled_from(samples)
    return st.one_of(
        whole,
        st.builds(_changed, whole, st.lists(_changes(samples), min_size=1, max_size=4)),
        st.sampled_from(NASTY),
        st.binary(max_size=300),
    )


def spoiled(sample: bytes) -> Iterator[bytes]:
    """A sample with each nasty value in each of some places of it; and all that is nasty by itself."""
    yield from NASTY
    for value in VALUES:
        for number in range(PLACES):
            yield _other_value(number / PLACES, value)(sample)


def _changed(data: bytes, changes: list[Change]) -> bytes:
    for change in changes:
        data = change(data)
    return data


def _changes(samples: tuple[bytes, ...]) -> SearchStrategy[Change]:
    place = st.floats(0, 1, exclude_max=True)  # of the length, which earlier changes may have changed
    return st.one_of(
        st.builds(_flip, place, st.integers(0, 7)),
        st.builds(_cut, place),
        st.builds(_without, place, st.integers(1, 20)),
        st.builds(_insert, place, st.binary(min_size=1, max_size=8)),
        st.builds(_splice, place, st.sampled_from(samples), place),
        st.builds(_twice, place, place),
        st.builds(_other_value, place, st.sampled_from(VALUES)),
    )


def _flip(place: float, bit: int) -> Change:
    def change(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :] if data else data

    return change


def _cut(place: float) -> Change:
    return lambda data: data[: int(place * len(data))]


def _without(place: float, length: int) -> Change:
    def change(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + data[at + length :]

    return change


def _insert(place: float, more: bytes) -> Change:
    def change(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + more + data[at:]

    return change


def _splice(place: float, other: bytes, place_there: float) -> Change:
    return lambda data: data[: int(place * len(data))] + other[int(place_there * len(other)) :]


def _twice(start: float, end: float) -> Change:
    """A part stands twice: a key of an object, a frame, a line."""

    def change(data: bytes) -> bytes:
        low, high = sorted((int(start * len(data)), int(end * len(data))))
        return data[:high] + data[low:]

    return change


def _other_value(place: float, value: bytes) -> Change:
    """What stands between two marks of JSON or TOML gives way to something else."""

    def change(data: bytes) -> bytes:
        at = int(place * len(data))
        low = max((data.rfind(mark, 0, at + 1) for mark in (b":", b",", b"[", b"=")), default=-1) + 1
        ends = [found for mark in (b",", b"}", b"]", b"\n") if (found := data.find(mark, max(at, low))) >= 0]
        return data[:low] + value + data[min(ends, default=len(data)) :]

    return change
