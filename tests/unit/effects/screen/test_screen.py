"""What stands on a screen after a program's bytes: seen in lines, cursor, title and modes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.effects.screen.painting import repaint
from moduprompt.effects.screen.screen import SIDE_MAX, TITLE_MAX, Screen
from moduprompt.effects.screen.sequences import SEQUENCE_CHARS_MAX, STRING_CHARS_MAX

ROWS, COLS = 4, 10


def shown(data: bytes | str, *, rows: int = ROWS, cols: int = COLS) -> Screen:
    screen = Screen(rows, cols)
    screen.feed(data.encode() if isinstance(data, str) else data)
    return screen


@pytest.mark.parametrize(
    ("printed", "lines", "cursor"),
    [
        pytest.param("one\r\ntwo", ["one", "two", "", ""], (1, 3), id="lines"),
        pytest.param("one\ntwo", ["one", "   two", "", ""], (1, 6), id="a line feed keeps the column"),
        pytest.param("a\bb", ["b", "", "", ""], (0, 1), id="backspace"),
        pytest.param("a\tb", ["a       b", "", "", ""], (0, 9), id="tab"),
        pytest.param("0123456789", ["0123456789", "", "", ""], (0, 9), id="a full line doesn't wrap yet"),
        pytest.param("0123456789x", ["0123456789", "x", "", ""], (1, 1), id="the next character wraps"),
        pytest.param("0123456789\rx", ["x123456789", "", "", ""], (0, 1), id="a return takes the wrap back"),
        pytest.param("\x1b[?7l0123456789xy", ["012345678y", "", "", ""], (0, 9), id="without wrapping"),
        pytest.param("1\r\n2\r\n3\r\n4\r\n5", ["2", "3", "4", "5"], (3, 1), id="scrolling"),
        pytest.param("\x1b[2;3Hx", ["", "  x", "", ""], (1, 3), id="a place"),
        pytest.param("\x1b[99;99Hx", ["", "", "", "         x"], (3, 9), id="a place outside"),
        pytest.param("abc\x1b[2Dx", ["axc", "", "", ""], (0, 2), id="to the left"),
        pytest.param("abcdef\x1b[3D\x1b[K", ["abc", "", "", ""], (0, 3), id="erase to the end"),
        pytest.param("abcdef\x1b[3D\x1b[1K", ["    ef", "", "", ""], (0, 3), id="erase to the cursor"),
        pytest.param("a\r\nb\r\nc\x1b[2;1H\x1b[J", ["a", "", "", ""], (1, 0), id="erase below"),
        pytest.param("a\r\nb\r\nc\x1b[2;1H\x1b[1J", ["", "", "c", ""], (1, 0), id="erase above"),
        pytest.param("abc\x1b[2Jx", ["   x", "", "", ""], (0, 4), id="erase all keeps the cursor"),
        pytest.param("abcd\x1b[1;2H\x1b[2@", ["a  bcd", "", "", ""], (0, 1), id="insert characters"),
        pytest.param("abcd\x1b[1;2H\x1b[2P", ["ad", "", "", ""], (0, 1), id="delete characters"),
        pytest.param("abcd\x1b[1;2H\x1b[2X", ["a  d", "", "", ""], (0, 1), id="erase characters"),
        pytest.param("abc\x1b[4h\x1b[1;2Hxy", ["axybc", "", "", ""], (0, 3), id="insert mode"),
        pytest.param("a\r\nb\r\nc\x1b[2;2H\x1b[L", ["a", "", "b", "c"], (1, 0), id="insert lines"),
        pytest.param("a\r\nb\r\nc\x1b[2;2H\x1b[M", ["a", "c", "", ""], (1, 0), id="delete lines"),
        pytest.param("a\r\nb\r\nc\x1b[S", ["b", "c", "", ""], (2, 1), id="scroll up"),
        pytest.param("a\r\nb\r\nc\x1b[T", ["", "a", "b", "c"], (2, 1), id="scroll down"),
        pytest.param("a\x1b[1;1H\x1bMb", ["b", "a", "", ""], (0, 1), id="reverse index scrolls at the top"),
        pytest.param(
            "1\r\n2\r\n3\r\n4\x1b[2;3r\x1b[3;1H\n", ["1", "3", "", "4"], (2, 0), id="a region scrolls alone"
        ),
        pytest.param("\x1b[2;3r\x1b[?6h\x1b[1;1Hx", ["", "x", "", ""], (1, 1), id="origin mode"),
        pytest.param("ab\x1b7\x1b[3;3Hc\x1b8d", ["abd", "", "  c", ""], (0, 3), id="save and restore"),
        pytest.param("x\x1b[3b", ["xxxx", "", "", ""], (0, 4), id="repeat"),
        pytest.param("\x1b(0lqk\x1b(Bq", ["┌─┐q", "", "", ""], (0, 4), id="line drawing"),
        pytest.param("a\x1b[4G*", ["a  *", "", "", ""], (0, 4), id="a column"),
        pytest.param("\x1b[2Ix\x1b[2Zy", ["y        x", "", "", ""], (0, 1), id="two tabs, and two back"),
        pytest.param(
            "ab\x1b[9999999Ix\x1b[9999999Zy",
            ["yb" + " " * 7 + "x", "", "", ""],
            (0, 1),
            id="tabs to the border",
        ),
        pytest.param("\t\tx\x1b[Zy", ["        yx", "", "", ""], (0, 9), id="back a tab"),
        pytest.param("中文x", ["中文x", "", "", ""], (0, 5), id="wide characters take two columns"),
        pytest.param("012345678中", ["012345678", "中", "", ""], (1, 2), id="a wide one wraps early"),
        pytest.param("中\x1b[1;2Hx", [" x", "", "", ""], (0, 2), id="no half of a wide one stays"),
        pytest.param("中文\x1b[1;2H\x1b[P", [" 文", "", "", ""], (0, 1), id="deleting half of a wide one"),
        pytest.param("e\u0301x", ["e\u0301x", "", "", ""], (0, 2), id="a combining mark takes none"),
        pytest.param(b"a\xffb", ["a\ufffdb", "", "", ""], (0, 3), id="bytes that are no text"),
        pytest.param("a\x1b[3\x18b", ["ab", "", "", ""], (0, 2), id="a cancelled sequence"),
        pytest.param("ab\x1b[\r1Cx", ["ax", "", "", ""], (0, 2), id="a control inside of a sequence"),
        pytest.param("\x1b]0;t\x07a", ["a", "", "", ""], (0, 1), id="a title is not shown"),
        pytest.param("\x1bPq#1~\x1b\\a", ["a", "", "", ""], (0, 1), id="a picture is not shown"),
        pytest.param("\x1b[>4;2ma", ["a", "", "", ""], (0, 1), id="a private sequence is no style"),
    ],
)
def test_what_is_printed_stands_where_a_terminal_shows_it(
    printed: bytes | str, lines: list[str], cursor: tuple[int, int]
) -> None:
    screen = shown(printed)
    assert (screen.text(), screen.cursor) == (lines, cursor)


def test_a_full_screen_program_gives_the_main_screen_back() -> None:
    screen = shown("shell$ \x1b[?1049h\x1b[2J\x1b[HTUI")
    assert (screen.is_alternate, screen.text()[0]) == (True, "TUI")
    screen.feed(b"\x1b[?1049l")
    assert (screen.is_alternate, screen.text()[0], screen.cursor) == (False, "shell$", (0, 7))


def test_titles_and_modes_are_known() -> None:
    screen = shown("\x1b]2;\u2733 fix\x1b\\\x1b[?2004h\x1b[?25l")
    assert screen.title == "\u2733 fix"
    assert 2004 in screen.modes
    assert 25 not in screen.modes


def test_a_window_that_shrinks_keeps_the_cursor_s_line() -> None:
    screen = shown("1\r\n2\r\n3\r\n4")
    screen.resize(2, 3)
    assert (screen.text(), screen.cursor) == (["3", "4"], (1, 1))
    screen.resize(3, 20)
    assert (screen.text(), screen.cols) == (["3", "4", ""], 20)


def test_a_reset_leaves_nothing() -> None:
    screen = shown("abc\x1b[31m\x1b[2;3r\x1b[?2004h\x1bc")
    fresh = Screen(ROWS, COLS)
    assert (screen.text(), screen.modes, screen.cursor) == (fresh.text(), fresh.modes, fresh.cursor)


def test_endless_sequences_cost_no_memory_and_hide_nothing_after_them() -> None:
    screen = shown("\x1b]0;" + "x" * (2 * STRING_CHARS_MAX))
    assert screen.text()[0] == ""
    screen.feed(b"more\x07seen")
    assert (screen.text()[0], screen.title) == ("seen", "")
    screen.feed(b"\x1b[" + b"1;" * SEQUENCE_CHARS_MAX + b"m")
    screen.feed(b"\r\nafter")
    assert "after" in screen.text()


def test_huge_numbers_cost_no_more_than_the_screen_is_large() -> None:
    screen = shown("x\x1b[999999999b\x1b[999999999L\x1b[999999999S\x1b[999999999I\x1b[999999999@")
    assert screen.rows == ROWS
    assert Screen(10**9, 0).rows == SIDE_MAX
    assert len(shown("\x1b]0;" + "t" * 1000 + "\x07").title) == TITLE_MAX


SEQUENCES = st.sampled_from(
    [
        *("\r", "\n", "\b", "\t", "\x0e", "\x0f", "中", "e\u0301", "abc ", "0123456789ab"),
        *("\x1b[H", "\x1b[3;4H", "\x1b[2A", "\x1b[B", "\x1b[C", "\x1b[3D", "\x1b[K", "\x1b[1J", "\x1b[2J"),
        *("\x1b[2@", "\x1b[3P", "\x1b[2X", "\x1b[L", "\x1b[M", "\x1b[S", "\x1b[T", "\x1b[2;3r", "\x1b[r"),
        *("\x1b[31;1m", "\x1b[48;2;1;2;3m", "\x1b[38:5:9m", "\x1b[m", "\x1b7", "\x1b8", "\x1bM", "\x1bD"),
        *("\x1b[?1049h", "\x1b[?1049l", "\x1b[?6h", "\x1b[?7l", "\x1b[?7h", "\x1b[4h", "\x1b[4l", "\x1b[b"),
        *("\x1b]0;title\x07", "\x1b]8;;link\x1b\\", "\x1bPdata\x1b\\", "\x1b(0", "\x1b(B", "\x1b[!p"),
    ]
)
STREAMS = st.lists(SEQUENCES | st.text(max_size=3), max_size=60).map("".join).map(str.encode)


def state(screen: Screen) -> object:
    cells = [(line.chars, line.styles) for line in screen.lines]
    return cells, screen.cursor, screen.modes, screen.title, screen.is_alternate


@given(STREAMS, st.lists(st.integers(0, 400), max_size=8))
def test_the_same_bytes_give_the_same_screen_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    whole, pieces = shown(data), Screen(ROWS, COLS)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        pieces.feed(data[start:end])
    assert state(pieces) == state(whole)


@given(STREAMS | st.binary(max_size=200))
def test_no_bytes_break_the_grid(data: bytes) -> None:
    screen = shown(data)
    assert len(screen.lines) == ROWS
    for line in screen.lines:
        assert len(line.chars) == len(line.styles) == COLS
        halves = [x for x, char in enumerate(line.chars) if char == ""]
        assert all(x > 0 and line.chars[x - 1] not in ("", " ") for x in halves)
    y, x = screen.cursor
    assert 0 <= y < ROWS
    assert 0 <= x < COLS


@given(STREAMS)
def test_a_screen_that_is_painted_again_looks_the_same(data: bytes) -> None:
    screen = shown(data)
    again = shown(repaint(screen))
    assert [(line.chars, line.styles) for line in again.lines] == [
        (line.chars, line.styles) for line in screen.lines
    ]
    assert (again.cursor, again.modes, again.is_alternate) == (
        screen.cursor,
        screen.modes,
        screen.is_alternate,
    )
