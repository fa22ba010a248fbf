"""What a program used is told in tokens and money; what nobody knows is not told as zero."""

from __future__ import annotations

import pytest

from moduprompt.cli.spending import usage_told
from moduprompt.domain.run.usage import Usage


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (Usage(), None),
        (
            Usage(input_tokens=5, output_tokens=2, cost_micros=1_230_000, reports=1),
            "5 tokens in, 2 out, $1.2300",
        ),
        (
            Usage(input_tokens=5, cached_tokens=4, output_tokens=2, reports=1, unpriced=1),
            "5 tokens in (4 of them cached), 2 out, cost unknown",
        ),
        (
            Usage(input_tokens=5, cost_micros=10_000, reports=3, unpriced=1),
            "5 tokens in, 0 out, $0.0100 and what 1 of 3 reports don't say",
        ),
    ],
)
def test_a_cost_is_the_whole_or_says_what_is_missing(usage: Usage, told: str | None) -> None:
    assert usage_told(usage) == told
