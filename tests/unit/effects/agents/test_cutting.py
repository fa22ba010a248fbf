"""Lines of programs that may never end one."""

from __future__ import annotations

import pytest

from moduprompt.domain.run.said import LineSkipped
from moduprompt.effects.agents.cutting import LINE_BYTES_MAX, LineCutter


def cut(data: bytes, *, piece: int) -> list[bytes | LineSkipped]:
    cutter = LineCutter()
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    return [line for each in pieces for line in cutter.feed(each)] + [cutter.last()]


@pytest.mark.parametrize("piece", [1, 2, 3, 100])
def test_lines_are_the_same_however_the_bytes_come(piece: int) -> None:
    assert cut(b"one\n\n\xfftwo\r\nrest", piece=piece) == [b"one", b"", b"\xfftwo\r", b"rest"]


def test_a_line_that_is_too_long_is_told_and_the_next_one_read() -> None:
    long = b"x" * (LINE_BYTES_MAX + 1)

    assert cut(long + b"\nnext\n", piece=65_536) == [LineSkipped(bytes=len(long)), b"next", b""]
    assert cut(long, piece=65_536) == [LineSkipped(bytes=len(long))]


def test_a_line_of_just_the_limit_is_read() -> None:
    assert cut(b"x" * LINE_BYTES_MAX + b"\n", piece=65_536)[0] == b"x" * LINE_BYTES_MAX
