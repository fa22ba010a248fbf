"""What a program used, in sum. Amounts come on top of each other; a price that nobody knows is no zero."""

from typing import Final

import msgspec

from moduprompt.domain.run.events import RunUsageReported
from moduprompt.protocol import Count

SUM_MAX: Final = 2**53 - 1  # what every reader of JSON holds exactly; a program that says more has lied


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Sums. `input_tokens` has the cached ones in it.

    `cost_micros` counts what had a price; `unpriced` how many reports had none, so that a sum is known to be
    the whole only where this is 0.
    """

    input_tokens: Count = 0
    cached_tokens: Count = 0
    output_tokens: Count = 0
    cost_micros: Count = 0
    reports: Count = 0
    unpriced: Count = 0


def summed(usage: Usage, more: RunUsageReported) -> Usage:
    """With one report on top."""
    return Usage(
        input_tokens=min(usage.input_tokens + more.input_tokens, SUM_MAX),
        cached_tokens=min(usage.cached_tokens + more.cached_tokens, SUM_MAX),
        output_tokens=min(usage.output_tokens + more.output_tokens, SUM_MAX),
        cost_micros=min(usage.cost_micros + (more.cost_micros or 0), SUM_MAX),
        reports=usage.reports + 1,
        unpriced=usage.unpriced + (1 if more.cost_micros is None else 0),
    )


def together(one: Usage, other: Usage) -> Usage:
    """Both in one sum."""
    return Usage(
        input_tokens=min(one.input_tokens + other.input_tokens, SUM_MAX),
        cached_tokens=min(one.cached_tokens + other.cached_tokens, SUM_MAX),
        output_tokens=min(one.output_tokens + other.output_tokens, SUM_MAX),
        cost_micros=min(one.cost_micros + other.cost_micros, SUM_MAX),
        reports=one.reports + other.reports,
        unpriced=one.unpriced + other.unpriced,
    )
