"""What a run uses is charged to who began it, and what happens when that is more than was meant.

Each report of usage becomes a charge for everyone with a budget who is charged for the session; see
`domain/session/budgets.py`. Whoever reaches a bound by it has used up the budget, and every live run that is
charged to the same session is stopped. All of it is one decision, so that nothing begins in between.
"""

from moduprompt.domain.decider import Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.events import RunStopRequested, RunUsageReported
from moduprompt.domain.run.parking import PARKING
from moduprompt.domain.run.state import RunState
from moduprompt.domain.run.usage import SUM_MAX, Usage
from moduprompt.domain.session.budgets import bound_reached, charged_for, in_words, without
from moduprompt.domain.session.events import SessionBudgetExceeded, SessionBudgetSet, SessionCharged
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import REASON_MAX


def charge_usage(event: RunUsageReported, world: World) -> list[Event]:
    """One charge for each budget that it counts in."""
    run = world.find(RunState, event.run_id)
    session = world.find(SessionState, run.session_id) if run else None
    if session is None:
        return []
    return [
        SessionCharged(
            session_id=payer.session_id,
            run_id=event.run_id,
            tokens=min(event.input_tokens + event.output_tokens, SUM_MAX),
            cost_micros=event.cost_micros or 0,
            is_cost_known=event.cost_micros is not None,
        )
        for payer in charged_for(session, world)
        if payer.budget is not None
    ]


def charge_what_was_before(event: SessionBudgetSet, world: World) -> list[Event]:
    """A budget begins with what was used until now: else it would be worth more the later it is set."""
    if not event.begins:
        return []
    used = [run.usage for run in _runs_charged_to(event.session_id, world) if run.usage.reports]
    if not used:
        return []
    return [
        SessionCharged(
            session_id=event.session_id,
            tokens=min(sum(map(_tokens, used)), SUM_MAX),
            cost_micros=min(sum(usage.cost_micros for usage in used), SUM_MAX),
            is_cost_known=not any(usage.unpriced for usage in used),
        )
    ]


def exceed(event: SessionCharged, world: World) -> list[Event]:
    """The bound that this very charge reached: said once, whatever else is charged in the same decision."""
    session = world.find(SessionState, event.session_id)
    budget = session.budget if session else None
    if budget is None or budget.is_exceeded:
        return []
    passed = bound_reached(event.session_id, budget)
    if passed is None or bound_reached(event.session_id, without(budget, event)) is not None:
        return []
    return [passed]


def stop_charged(event: SessionBudgetExceeded, world: World) -> list[Event]:
    """Everything that lives and is charged to it ends, and for that: also where it was to wait for a window."""
    reason = f"the budget of session {event.session_id} is used up: {in_words(event)}"[:REASON_MAX]
    return [
        RunStopRequested(run_id=run.run_id, reason=reason, failure=FailureClass.BUDGET_EXCEEDED)
        for run in _runs_charged_to(event.session_id, world)
        if run.is_live() and (not run.stop_requested or run.stop_failure in PARKING)
    ]


def _runs_charged_to(session_id: str, world: World) -> list[RunState]:
    return [
        run
        for session in world.every(SessionState)
        if any(payer.session_id == session_id for payer in charged_for(session, world))
        for run in world.related(RunState, session.session_id)
    ]


def _tokens(usage: Usage) -> int:
    return usage.input_tokens + usage.output_tokens
