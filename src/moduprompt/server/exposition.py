"""Prometheus' text exposition format 0.0.4: families of samples as lines.

After https://prometheus.io/docs/instrumenting/exposition_formats/ : HELP, TYPE, then the samples; in a
histogram the buckets are cumulative and the last one is `+Inf`. A name is written once, here and in the
golden list; a counter's ends in `_total`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from moduprompt.kernel.meters import Histogram

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Family(NamedTuple):
    """One metric: what it is, and its samples by the values of its one label, or by none."""

    name: str
    kind: Literal["counter", "gauge"]
    what: str
    samples: Mapping[str, float]
    label: str = ""


class Distribution(NamedTuple):
    """One histogram."""

    name: str
    what: str
    histogram: Histogram


def one(value: float) -> dict[str, float]:
    """The only sample of a family without a label."""
    return {"": value}


def to_text(families: Iterable[Family | Distribution]) -> str:
    """The whole exposition."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family | Distribution) -> Iterable[str]:
    kind = "histogram" if isinstance(family, Distribution) else family.kind
    yield f"# HELP {family.name} {_escaped(family.what)}"
    yield f"# TYPE {family.name} {kind}"
    if isinstance(family, Distribution):
        yield from _buckets(family.name, family.histogram)
        return
    for value, sample in sorted(family.samples.items()):
        label = f'{{{family.label}="{_quoted(value)}"}}' if family.label else ""
        yield f"{family.name}{label} {_number(sample)}"


def _buckets(name: str, histogram: Histogram) -> Iterable[str]:
    below = 0
    for bound, count in zip((*histogram.bounds, None), histogram.counts, strict=True):
        below += count
        yield f'{name}_bucket{{le="{"+Inf" if bound is None else _number(bound)}"}} {below}'
    yield f"{name}_sum {_number(histogram.total)}"
    yield f"{name}_count {below}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
