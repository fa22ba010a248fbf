"""A terminal's output as text: nothing in it can act on the terminal it is read on."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.cli.terminal_text import Cleaner, to_text

ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PIECES = st.lists(
    st.sampled_from(
        [
            b"text",
            "é→".encode(),
            b"\r\n",
            b"\r",
            b"\n",
            b"\t",
            b"\x1b[31m",
            b"\x1b[2J",
            b"\x1b]0;title\x07",
            b"\x1b]8;;http://x\x1b\\",
            b"\x1bP1$r\x1b\\",
            b"\x1b(B",
            b"\x1b7",
            b"\x1b",
            b"\x1b[",
            b"\x07",
            b"\xff",
            b"\xc2\x9b31m",
            "\u202e".encode(),
        ]
    ),
    max_size=30,
).map(b"".join)


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        (b"plain\n", "plain\n"),
        (b"\x1b[1;31mred\x1b[0m\r\n", "red\n"),
        (b"a\x1b]0;owned\x07b", "ab"),
        (b"a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        (b"50%\r100%\r\n", "50%\n100%\n"),
        (b"a\tb", "a\tb"),
        (b"bell\x07", "bell"),
        (b"\xff", "\ufffd"),
        (b"cut\x1b[3", "cut[3"),
        (b"\x1b(B\x1b7ok\x1b8", "ok"),
        ("über".encode(), "über"),
    ],
)
def test_what_acts_is_gone_and_what_is_read_stays(printed: bytes, text: str) -> None:
    assert to_text(printed) == text


@given(PIECES, st.lists(st.integers(min_value=0, max_value=200), max_size=8))
def test_it_makes_no_difference_where_the_bytes_are_cut(printed: bytes, cuts: list[int]) -> None:
    cleaner = Cleaner()
    edges = [0, *sorted(cut for cut in cuts if cut <= len(printed)), len(printed)]
    pieces = [printed[start:end] for start, end in pairwise(edges)]

    text = "".join(cleaner.feed(piece) for piece in pieces) + cleaner.finish()

    assert text == to_text(printed)


@given(st.binary(max_size=400) | PIECES)
def test_no_byte_that_acts_comes_through(printed: bytes) -> None:
    assert ACTS.search(to_text(printed)) is None


def test_a_sequence_that_never_ends_is_shown_at_last() -> None:
    cleaner = Cleaner()
    shown = cleaner.feed(b"\x1b]0;" + b"x" * 10_000)

    assert len(shown) > 9_000


@pytest.mark.parametrize(
    "bomb",
    [b"\x1b]" * 100_000 + b"\x07", b"\x1bP\x1b" * 100_000 + b"\x07x", b"\x1b]" * 100_000, b"\x1b[" * 100_000],
    ids=["strings", "more", "without an end", "without a final byte"],
)
@pytest.mark.timeout(60)
def test_a_bomb_of_escapes_is_read_in_one_pass(bomb: bytes) -> None:
    """It took hours: at each escape the whole rest was looked through for an end."""
    assert ACTS.search(to_text(bomb)) is None


def test_a_line_break_is_one_wherever_the_bytes_are_cut() -> None:
    cleaner = Cleaner()
    assert "".join(cleaner.feed(piece) for piece in (b"a\r\x1b", b"[31m\nb", b"\r", b"\nc")) == "a\nb\nc"
