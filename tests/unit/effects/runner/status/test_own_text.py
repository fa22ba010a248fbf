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


def test_a_question_that_has_some_words_of_a_line_stays() -> None:
    text = "please say: May I go on with step 1? (y/n) and no more"
    seen = sight("hello", f"> {text}", "", "May I go on with step 1? (y/n)")
    assert without(text, seen).lines == ("hello", "", "", "May I go on with step 1? (y/n)")
    folded = sight(
        "> please say: May I go ", "  on with step 1? (y/n)", "  and no more", "go on with step 1? (y/n)"
    )
    assert without(text, folded).lines == ("", "", "", "go on with step 1? (y/n)")


@pytest.mark.parametrize("cut", [slice(0, 2), slice(1, 3), slice(0, 3)])
def test_a_folded_line_is_ours_also_where_only_its_beginning_or_its_end_is_shown(cut: slice) -> None:
    text = "please say: May I go on with step 1? (y/n) and no more"
    rows = ("│ please say: May I go │", "│ on with step 1? (y/n) │", "│ and no more │")[cut]
    assert set(without(text, sight("hello", *rows)).lines) == {"hello", ""}


def test_of_a_text_that_no_screen_holds_the_ends_are_known() -> None:
    text = "the beginning of it\n" + "a line of the middle\n" * 50_000 + "Overwrite? [y/n]"
    seen = sight(
        "> the beginning of it", "a line of the middle", "...", "a line of the middle", "Overwrite? [y/n]"
    )
    assert without(text, seen).lines == ("", "", "...", "", "")


def test_where_a_text_stands_is_told_by_what_is_below_it() -> None:
    before = sight("hello", "> two", "  lines of it", "-- footer")
    ignored = sight("hello", "> two", "  lines of it", "  ", "-- footer")
    sent = sight("> two", "  lines of it", "* answer", "> ", "-- footer")

    assert lines_below("two\nlines of it", before) == lines_below("two\nlines of it", ignored) == 1
    assert lines_below("two\nlines of it", sent) == 3
    assert lines_below("two\nlines of it", sight("> ", "-- footer")) is None
