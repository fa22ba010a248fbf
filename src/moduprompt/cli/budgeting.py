"""`mpctl session set-budget`, and how a budget is typed and told: tokens, and dollars to the millionth."""

import argparse
import re
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.faults import misused
from moduprompt.cli.lookup import find_item
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb, from_one
from moduprompt.domain.session.budgets import dollars
from moduprompt.domain.session.commands import SetBudget
from moduprompt.domain.session.state import Budget
from moduprompt.domain.session.view import SessionItem
from moduprompt.protocol import SessionId

DOLLARS: Final = re.compile(r"\$?([0-9]{1,9})(?:\.([0-9]{1,6}))?")
HUNDRED: Final = 100


def micros(text: str) -> int:
    """Millionths of a dollar of `2.50` or `$2.50`; exact, for no float is in between. For `type=`."""
    found = DOLLARS.fullmatch(text)
    amount = int(found[1]) * 1_000_000 + int((found[2] or "").ljust(6, "0")) if found else 0
    if not amount:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of dollars, like 2.50")
    return amount


def budget_words(parser: argparse.ArgumentParser) -> None:
    """The budget that something is made with."""
    parser.add_argument(
        "--budget-tokens", metavar="N", type=from_one, help="let it use so many tokens, read and written"
    )
    parser.add_argument("--budget-cost", metavar="USD", type=micros, help="let it cost so much, like 2.50")


def budget_told(budget: Budget | None) -> str | None:
    """How much of it is used; None where there is none."""
    if budget is None:
        return None
    parts = [
        f"{_share(budget.spent_tokens, budget.tokens)} of {budget.tokens} tokens" if budget.tokens else None,
        f"{_share(budget.spent_cost_micros, budget.cost_micros)} of {dollars(budget.cost_micros)}"
        if budget.cost_micros
        else None,
        f"{budget.unpriced} times at an unknown cost" if budget.unpriced else None,
        "used up: it starts nothing more" if budget.is_exceeded else None,
    ]
    return "; ".join(part for part in parts if part is not None)


def _share(spent: int, limit: int) -> str:
    return f"{HUNDRED * spent // limit} %"


async def _set_budget(call: Call) -> None:
    words = call.words
    if words.is_set("none") == (words.count("tokens") is not None or words.count("cost") is not None):
        raise misused("say how much, or --none", hint="--tokens N, --cost USD, or both")
    item = await find_item(call, SessionItem, words.text("session"))
    command = SetBudget(
        workspace_id=item.workspace_id,
        session_id=SessionId(item.id),
        tokens=words.count("tokens"),
        cost_micros=words.count("cost"),
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="id or name")
    parser.add_argument("--tokens", metavar="N", type=from_one, help="so many, read and written")
    parser.add_argument("--cost", metavar="USD", type=micros, help="so many dollars, like 2.50")
    parser.add_argument("--none", action="store_true", help="as much as it likes")


SET_BUDGET: Final = Verb(
    "set-budget",
    _set_budget,
    summary="say what it and all below it may use in all",
    arguments=_arguments,
    more="What is left out is not bounded. What its children and forks use counts, too.",
)
