"""The text format of Prometheus, to the letter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moduprompt.kernel.meters import Histogram
from moduprompt.server.exposition import Distribution, Family, one, to_text
from tests.support.scraping import parse, value


def test_a_family_says_what_it_is_before_its_samples() -> None:
    family = Family("mp_x_total", "counter", "One \\ two\nlines.", {"b": 2, "a": 1}, "code")

    assert to_text([family, Family("mp_y", "gauge", "Y.", one(0.5))]).splitlines() == [
        "# HELP mp_x_total One \\\\ two\\nlines.",
        "# TYPE mp_x_total counter",
        'mp_x_total{code="a"} 1',
        'mp_x_total{code="b"} 2',
        "# HELP mp_y Y.",
        "# TYPE mp_y gauge",
        "mp_y 0.5",
    ]


def test_buckets_are_cumulative_and_the_last_one_holds_all() -> None:
    histogram = Histogram((0.1, 1.0))
    for seen in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seen)

    assert to_text([Distribution("mp_s", "S.", histogram)]).splitlines()[2:] == [
        'mp_s_bucket{le="0.1"} 2',
        'mp_s_bucket{le="1"} 3',
        'mp_s_bucket{le="+Inf"} 4',
        "mp_s_sum 7.65",
        "mp_s_count 4",
    ]


@given(st.text(), st.floats(min_value=0, max_value=1e15))
def test_whatever_a_label_holds_the_line_stays_one(label: str, number: float) -> None:
    text = to_text([Family("mp_x", "gauge", label, {label: number}, "label")])

    assert text.count("\n") == 3 or any(c in label for c in "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
    escaped = label.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    assert f'mp_x{{label="{escaped}"}} ' in text


@given(st.lists(st.floats(min_value=0, max_value=10)))
def test_every_observation_is_counted_once(seen: list[float]) -> None:
    histogram = Histogram((0.5, 1.0, 5.0))
    for each in seen:
        histogram.observe(each)
    families = parse(to_text([Distribution("mp_s", "S.", histogram)]))

    buckets = [each.value for each in families["mp_s"].samples if each.name == "mp_s_bucket"]
    assert buckets == sorted(buckets)
    assert value(families, "mp_s", "+Inf") == len(seen) == sum(histogram.counts)
