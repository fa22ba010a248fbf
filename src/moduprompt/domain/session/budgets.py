"""What a session may use, who is charged for it, and what is refused when it is used up.

What a session uses is charged to itself, to its parent, to what it was forked from, and to whatever those
are charged to: so nobody gets more by starting children, or by forking. Only who has a budget is charged;
what was used before it had one is charged in one go when it gets one.

A bound holds what is told. Where only the cost is bounded, one turn of an unknown cost uses it up:
a bound that can't be measured is no bound.
"""

from typing import Final

from msgspec.structs import replace

from moduprompt.domain.decider import Decision, World
from moduprompt.domain.session.commands import SetBudget, SpawnSession
from moduprompt.domain.session.events import SessionBudgetExceeded, SessionBudgetSet, SessionCharged
from moduprompt.domain.session.state import Budget, SessionState, budgeted
from moduprompt.protocol import Rejection, SessionId, invalid

HUNDRED: Final = 100  # percent
TELL_COST: Final = frozenset({"claude", "opencode", "pi"})
"""Adapters whose programs say what they cost; measured. Of the others tokens can be bounded."""
TELL_TOKENS: Final = TELL_COST | {"codex", "gemini"}
"""And those that say how many tokens they use."""


def charged_for(session: SessionState, world: World) -> tuple[SessionState, ...]:
    """Who is charged for what this session uses, itself first."""
    found: dict[SessionId, SessionState] = {}
    waiting = [session]
    while waiting:
        each = waiting.pop()
        found[each.session_id] = each
        above = (world.find(SessionState, id_) for id_ in (each.parent_session_id, each.fork_of) if id_)
        waiting.extend(other for other in above if other is not None and other.session_id not in found)
    return tuple(found.values())


def bound_passed(session: SessionState, world: World) -> SessionBudgetExceeded | None:
    """The used-up bound, of its own or of whoever is charged for it, that lets it use nothing more."""
    for payer in charged_for(session, world):
        passed = bound_reached(payer.session_id, payer.budget) if payer.budget is not None else None
        if passed is not None:
            return passed
    return None


def spent_out(session: SessionState, world: World) -> Rejection | None:
    """Why this session may use nothing more; None where it may."""
    passed = bound_passed(session, world)
    if passed is None:
        return None
    return invalid(
        "budget_exceeded",
        f"the budget of session {passed.session_id} is used up: {in_words(passed)}",
        hint=f"mpctl session set-budget {passed.session_id} --tokens N --cost USD",
        session_id=passed.session_id,
        bound=passed.bound,
        limit=passed.limit,
        spent=passed.spent,
    )


def bound_reached(session_id: SessionId, budget: Budget) -> SessionBudgetExceeded | None:
    """The bound of this budget that is reached, as a fact; None where there is room."""
    if budget.tokens is not None and budget.spent_tokens >= budget.tokens:
        return SessionBudgetExceeded(
            session_id=session_id, bound="tokens", limit=budget.tokens, spent=budget.spent_tokens
        )
    if budget.cost_micros is None:
        return None
    if budget.spent_cost_micros >= budget.cost_micros:
        return SessionBudgetExceeded(
            session_id=session_id, bound="cost", limit=budget.cost_micros, spent=budget.spent_cost_micros
        )
    if budget.unpriced and budget.tokens is None:
        return SessionBudgetExceeded(
            session_id=session_id,
            bound="unknown_cost",
            limit=budget.cost_micros,
            spent=budget.spent_cost_micros,
        )
    return None


def share_of(budget: Budget) -> int:
    """How much of the bound that is nearest is used, in percent."""
    bounds = ((budget.spent_tokens, budget.tokens), (budget.spent_cost_micros, budget.cost_micros))
    return max((HUNDRED * spent // limit for spent, limit in bounds if limit), default=0)


def in_words(passed: SessionBudgetExceeded) -> str:
    """How far a budget was passed, for people."""
    match passed.bound:
        case "tokens":
            return f"{passed.spent} of {passed.limit} tokens"
        case "cost":
            return f"{dollars(passed.spent)} of {dollars(passed.limit)}"
        case "unknown_cost":
            return f"something of an unknown cost was used, and only the cost is bounded, by {dollars(passed.limit)}"


def dollars(micros: int) -> str:
    """`$2.50`: at least two decimals, and as many as it takes."""
    whole, rest = divmod(micros, 1_000_000)
    decimals = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"${whole}.{decimals}"


def set_budget(command: SetBudget, own: SessionState) -> Decision:
    """The new bounds, and whether they are reached already."""
    before = own.budget
    wanted = (command.tokens, command.cost_micros)
    if wanted == ((None, None) if before is None else (before.tokens, before.cost_micros)):
        return []
    refused = _unmeasured(own.agent.adapter, tokens=command.tokens, cost_micros=command.cost_micros)
    if refused is not None:
        return refused
    begun = SessionBudgetSet(
        session_id=own.session_id,
        tokens=command.tokens,
        cost_micros=command.cost_micros,
        begins=before is None,
    )
    after = budgeted(before, begun)
    passed = bound_reached(own.session_id, after) if after is not None else None
    return [begun, passed] if passed is not None else [begun]


def first_budget(command: SpawnSession, session_id: SessionId) -> list[SessionBudgetSet]:
    """The budget that a session is made with."""
    if command.budget_tokens is None and command.budget_cost_micros is None:
        return []
    return [
        SessionBudgetSet(
            session_id=session_id,
            tokens=command.budget_tokens,
            cost_micros=command.budget_cost_micros,
            begins=True,
        )
    ]


def unfit_budget(command: SpawnSession) -> Rejection | None:
    """Why the budget that a session is to be made with could not hold it."""
    return _unmeasured(
        command.agent.adapter, tokens=command.budget_tokens, cost_micros=command.budget_cost_micros
    )


def without(budget: Budget, charged: SessionCharged) -> Budget:
    """The budget as it was before this charge."""
    return replace(
        budget,
        spent_tokens=budget.spent_tokens - charged.tokens,
        spent_cost_micros=budget.spent_cost_micros - charged.cost_micros,
        unpriced=budget.unpriced - (not charged.is_cost_known),
    )


def _unmeasured(adapter: str, *, tokens: int | None, cost_micros: int | None) -> Rejection | None:
    if tokens is not None and adapter not in TELL_TOKENS:
        return invalid(
            "budget_not_measured",
            f"{adapter} does not say how many tokens it uses, so a budget could not hold it",
            hint="mpctl run stop ends it by hand",
            adapter=adapter,
        )
    if cost_micros is not None and tokens is None and adapter not in TELL_COST:
        return invalid(
            "budget_not_measured",
            f"{adapter} does not say what it costs, so a budget of money alone could not hold it",
            hint="bound the tokens, too: --tokens N",
            adapter=adapter,
        )
    return None
