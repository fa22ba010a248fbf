"""How it is told to a person what a program used: tokens, money, turns. What nobody knows is not told as zero."""

from typing import Final

from moduprompt.domain.run.usage import Usage
from moduprompt.domain.run.view import RunItem

MICROS: Final = 1_000_000  # in a dollar


def in_dollars(cost_micros: int) -> str:
    """An amount to the hundredth of a cent."""
    return f"${cost_micros / MICROS:.4f}"


def usage_told(usage: Usage) -> str | None:
    """Tokens and cost; None where nothing was said of either."""
    if usage.reports == 0:
        return None
    cached = f" ({usage.cached_tokens} of them cached)" if usage.cached_tokens else ""
    return f"{usage.input_tokens} tokens in{cached}, {usage.output_tokens} out, {_cost(usage)}"


def turns_told(run: RunItem) -> str | None:
    """How many turns, and whether one is going on; None where it said of none."""
    if run.turns == 0:
        return None
    tools = f", {run.tools} tool calls" if run.tools else ""
    return f"{run.turns}{', in the last one now' if run.is_in_turn else ''}{tools}"


def cost_told(usage: Usage) -> str | None:
    """The cost, and how much of it nobody knows; None where nothing was told."""
    return _cost(usage) if usage.reports else None


def _cost(usage: Usage) -> str:
    if usage.unpriced == usage.reports:
        return "cost unknown"
    rest = f" and what {usage.unpriced} of {usage.reports} reports don't say" if usage.unpriced else ""
    return f"{in_dollars(usage.cost_micros)}{rest}"
