"""The moments that a person writes."""

import pytest

from moduprompt.cli.faults import CallFailed
from moduprompt.cli.moments import Moment, to_as_of
from moduprompt.protocol import to_micros

NOW = to_micros("2026-11-22T10:00:00.250000Z")


@pytest.mark.parametrize(
    ("typed", "travels"),
    [
        ("57", 57),
        ("0", 0),  # the daemon says what is wrong with it
        ("90m", "2026-11-22T08:30:00.250000Z"),
        ("2h", "2026-11-22T08:00:00.250000Z"),
        ("3d", "2026-11-19T10:00:00.250000Z"),
        ("0s", "2026-11-22T10:00:00.250000Z"),
        ("09:15", "2026-11-22T09:15:00.000000Z"),
        ("09:15:30.5", "2026-11-22T09:15:30.500000Z"),
        ("2026-11-21", "2026-11-21T00:00:00.000000Z"),
        ("2026-11-21 18:00", "2026-11-21T18:00:00.000000Z"),
        ("2026-11-21T18:00:00.123456Z", "2026-11-21T18:00:00.123456Z"),
        ("2026-11-21T18:00+02:00", "2026-11-21T16:00:00.000000Z"),
    ],
)
def test_a_moment_is_a_sequence_a_span_or_a_time(typed: str, travels: int | str) -> None:
    assert to_as_of(typed, now=NOW) == travels


@pytest.mark.parametrize(
    "typed",
    ["", "then", "-5m", "5w", "2026-13-01", "9999999d", "٣m", "٣", "25:00", "0001-01-01T00:00+05:00", "1.5h"],
)
def test_what_is_no_moment_is_a_usage_error(typed: str) -> None:
    with pytest.raises(CallFailed) as caught:
        to_as_of(typed, now=NOW)

    assert caught.value.exit_status == 2


def test_a_heading_says_that_this_is_the_past() -> None:
    known = Moment(seq=7, at="2026-11-22T10:00:00.250000Z")

    assert known.heading() == "the past: as of event 7, 2026-11-22 10:00:00 UTC"
    assert Moment(seq=7, at=None).heading() == "the past: as of event 7"
