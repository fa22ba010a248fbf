"""Time goes to the wire and back exactly, in one form only."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.protocol import Micros, from_rfc_3339, to_micros, to_timestamp

YEAR_1 = -62_135_596_800_000_000
YEAR_9999 = 253_402_300_799_999_999
moments = st.integers(min_value=YEAR_1, max_value=YEAR_9999).map(Micros)


@given(moments)
def test_a_moment_comes_back(at: Micros) -> None:
    assert to_micros(to_timestamp(at)) == at


@given(moments, moments)
def test_the_text_sorts_like_the_number(one: Micros, other: Micros) -> None:
    assert (to_timestamp(one) < to_timestamp(other)) == (one < other)


def test_the_form_is_fixed() -> None:
    assert to_timestamp(Micros(0)) == "1970-01-01T00:00:00.000000Z"
    assert to_timestamp(Micros(1_767_225_600_000_001)) == "2026-01-01T00:00:00.000001Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.1Z",
        "2026-1-1T0:0:0.100000Z",
        "2026-01-01T00:00:00.000000",
        "2026-01-01T00:00:00.000000+00:00",
        "2026-01-01 00:00:00.000000Z",
        "2026-01-01T00:00:00,000000Z",
        "2026-01-01T00:00:00.000000z",
        "2026-01-01T00:00:00.000000Z\n",
        " 2026-01-01T00:00:00.000000Z",
        "2026-02-30T00:00:00.000000Z",
        "2026-01-01T24:00:00.000000Z",
        "2026-01-01T00:00:60.000000Z",
        "٢٠٢٦-01-01T00:00:00.000000Z",
        "0000-01-01T00:00:00.000000Z",
        "20260101T000000.0000000000Z",
        "2026-W01-1T00:00:00.000000Z",
    ],
)
def test_another_form_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        to_micros(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-22T15:40:00Z", "2026-11-22T15:40:00.000000Z"),
        ("2026-11-22t15:40:00.5z", "2026-11-22T15:40:00.500000Z"),
        ("2026-11-22T17:40:00.123456+02:00", "2026-11-22T15:40:00.123456Z"),
        ("2026-11-22T15:10:00-00:30", "2026-11-22T15:40:00.000000Z"),
    ],
)
def test_any_form_of_rfc_3339_is_understood(text: str, same: str) -> None:
    assert from_rfc_3339(text) == to_micros(same)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-22", "2026-11-22T15:40Z", "2026-11-22T15:40:00", "2026-11-22 15:40:00Z", "2026-11-22T15:40:00.Z",
     "2026-11-22T15:40:00.1234567Z", "2026-11-22T15:40:00+2:00", "2026-02-30T15:40:00Z", "2026-11-22T15:40:60Z",
     "2026-11-22T15:40:00+99:00", "٢٠٢٦-11-22T15:40:00Z"],
)  # fmt: skip
def test_what_is_no_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|second|day|hour|offset|range"):
        from_rfc_3339(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_a_time(text: str) -> None:
    with contextlib.suppress(ValueError):
        from_rfc_3339(text)
