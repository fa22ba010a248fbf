"""Text in a terminal: it fits where it shall, whatever its characters are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moduprompt.cli.live.spans import Span, cut, line_cells, spread
from moduprompt.cli.live.spells import spell
from moduprompt.cli.live.text import cells, fit, pad, plain, plain_lines

UNHURRIED = settings(deadline=None)  # a busy machine is no fault of the text


@UNHURRIED
@given(st.text(max_size=60), st.integers(min_value=0, max_value=40))
def test_what_is_fitted_takes_no_more_columns_than_given(text: str, width: int) -> None:
    assert cells(fit(plain(text), width)) <= width


@UNHURRIED
@given(st.text(max_size=60), st.integers(min_value=0, max_value=40))
def test_what_is_padded_takes_exactly_the_columns_given(text: str, width: int) -> None:
    assert cells(pad(plain(text), width)) == width


@UNHURRIED
@given(st.text(max_size=30), st.integers(min_value=0, max_value=30))
def test_fitting_keeps_what_fits_already(text: str, room: int) -> None:
    clean = plain(text)
    assert fit(clean, cells(clean) + room) == clean


@UNHURRIED
@given(st.lists(st.text(max_size=12), max_size=6), st.integers(min_value=1, max_value=40))
def test_a_cut_line_is_no_wider_than_asked(texts: list[str], width: int) -> None:
    line = tuple(Span(plain(text)) for text in texts)
    assert line_cells(cut(line, width)) <= width
    assert line_cells(spread(line, (Span("end"),), width=width)) <= width


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ("00.000000", "0.0 s"),
        ("09.990000", "9.9 s"),
        ("10.000000", "10 s"),
        ("59.999999", "59 s"),
    ],
)
def test_a_spell_is_told_as_exactly_as_it_matters(seconds: str, told: str) -> None:
    assert spell("2026-01-01T00:00:00.000000Z", f"2026-01-01T00:00:{seconds}Z") == told


@pytest.mark.parametrize(
    ("until", "told"),
    [("01T00:03:05", "3m05s"), ("01T02:14:59", "2h14m"), ("06T03:00:00", "5d03h"), ("nonsense", "")],
)
def test_long_spells_are_told_roughly(until: str, told: str) -> None:
    assert spell("2026-01-01T00:00:00.000000Z", f"2026-01-{until}.000000Z") == told


def test_time_does_not_run_backwards() -> None:
    assert spell("2026-01-01T00:00:09.000000Z", "2026-01-01T00:00:00.000000Z") == "0.0 s"


def test_a_text_of_several_lines_keeps_its_indentation_and_acts_on_nothing() -> None:
    assert plain_lines('{\n  "command": "a  b"\n}\n') == '{\n  "command": "a  b"\n}'
    assert plain_lines("\tred \x1b[31m\r\n    deep") == " red  [31m\n    deep"


@UNHURRIED
@given(st.text(max_size=60))
def test_each_line_of_a_text_is_the_plain_line_that_it_would_be_alone(text: str) -> None:
    assert [line.strip() for line in plain_lines(text).split("\n")] == [
        plain(line) for line in (text.splitlines() or [""])
    ]
