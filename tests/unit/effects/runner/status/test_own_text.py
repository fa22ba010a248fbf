"""What we have typed ourselves is known on the screen, however a program draws it, and is no word of the program's."""

import pytest

from moduprompt.effects.runner.status.facts import Sight
from moduprompt.effects.runner.status.own_text import is_short, lines_below, stands_there, without

TEXT = "Please look at the tests.\n1. Yes\n2. No\nOverwrite? [y/n]"


def sight(*lines: str) -> Sight:
    return Sight(lines=lines, cursor=(len(lines) - 1, 0))


@pytest.mark.parametrize(
    "lines",
    [
        ("❯ Please look at the tests.", "  1. Yes", "  2. No", "  Overwrite? [y/n]"),
        ("│ > Please look at the te │", "│   sts.                │", "│   1. Yes              │"),
        ("  1. Yes", "  2. No", "› Overwrite? [y/n]", "", "  footer"),
        ("> [Pasted text #1 +30 lines]",),
        ("[Pasted Content 1234 chars]",),
        ("[paste #3 +31 lines]",),
    ],
)
def test_a_text_is_found_by_its_beginning_its_end_or_the_mark_of_its_paste(lines: tuple[str, ...]) -> None:
    assert stands_there(TEXT, sight(*lines))


@pytest.mark.parametrize("lines", [(), ("❯ ",), ("❯ Please look",), ("? for shortcuts", "1. Yes", "2. No")])
def test_a_text_that_is_not_there_is_not_found(lines: tuple[str, ...]) -> None:
    assert not stands_there(TEXT, sight(*lines))


def test_a_very_short_text_is_found_in_a_line_of_its_own() -> None:
    assert is_short("go on")
    assert not is_short(TEXT)
    assert stands_there("go on", sight("❯ go on"))
    assert not stands_there("go on", sight("May I go on?"))


def test_the_lines_of_a_text_are_taken_off_the_screen() -> None:
    seen = without(TEXT, sight("hello", "❯ Please look at the tests.", "1. Yes", "Overwrite? [y/n]"))
    assert seen.lines == ("hello", "", "", "")


def test_a_choice_that_is_worded_like_a_line_of_the_text_stays() -> None:
    seen = sight("Run this?", "❯ 1. Yes", "  2. No", "Esc to cancel")
    assert without(TEXT, seen) == seen


def test_where_a_text_stands_is_told_by_what_is_below_it() -> None:
    before = sight("hello", "> two", "  lines of it", "-- footer")
    ignored = sight("hello", "> two", "  lines of it", "  ", "-- footer")
    sent = sight("> two", "  lines of it", "* answer", "> ", "-- footer")

    assert lines_below("two\nlines of it", before) == lines_below("two\nlines of it", ignored) == 1
    assert lines_below("two\nlines of it", sent) == 3
    assert lines_below("two\nlines of it", sight("> ", "-- footer")) is None
