"""Runs that begin by themselves: a session's first, one whose window has opened, those that a raised budget lets begin."""

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.run.conversations import conversation_of, conversation_of_original
from moduprompt.domain.run.decide import begin_run, has_run, live_run, locked_out, unfit_to_run
from moduprompt.domain.run.state import RunState
from moduprompt.domain.run.waiting import begin_waiting, wait_for_branch, wait_for_budget
from moduprompt.domain.session.budgets import charged_for, spent_out
from moduprompt.domain.session.events import SessionBudgetGiven, SessionBudgetSet, SessionUnparked
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import SessionId


def begin_first(session_id: str, world: World, context: Context) -> list[Event]:
    """The first run, as soon as its place is there; while a budget is used up or its branch is held, it waits."""
    session = world.find(SessionState, session_id)
    if session is None or session.status == "closed" or live_run(session_id, world) is not None:
        return []
    if spent_out(session, world) is not None:
        return wait_for_budget(session, world)
    return _begin(session, world, context)


def go_on(event: SessionUnparked, world: World, context: Context) -> list[Event]:
    """The work of a session whose window has opened goes on, told the same, with its conversation where that can be."""
    session = world.find(SessionState, event.session_id)
    if event.why != "due" or session is None:
        return []
    resumes = conversation_of(session.session_id, world)
    parked = world.find(RunState, event.run_id)
    if unfit_to_run(session, world) is None:
        return begin_run(session, world, context, resumes=resumes, continues=parked)
    if session.status == "closed":
        return []
    in_line = wait_for_branch(session, world, resumes=resumes, continues=parked)
    return in_line or wait_for_budget(session, world, resumes=resumes, continues=parked)


def begin_what_waited(event: SessionBudgetSet, world: World, context: Context) -> list[Event]:
    """Runs that could not begin while a budget was used up begin when it is raised, or taken away.

    First runs, those whose branch became free meanwhile, and those whose window opened. Of several on one branch the
    first begins, and the others wait for it.
    """
    if event.begins:
        return []  # a bound more lets nobody begin
    facts: list[Event] = []
    first_on: dict[str, SessionId] = {}
    for session in world.every(SessionState):
        if event.session_id not in (payer.session_id for payer in charged_for(session, world)):
            continue
        if spent_out(session, world) is not None:
            facts += _wait_for_another(session, world)
        elif not _is_next(session, world):
            facts += _funded(session)
        elif session.session_id == first_on.setdefault(
            session.branch or session.session_id, session.session_id
        ):
            facts += begin_waiting(session, world, context) or _begin(session, world, context)
        else:  # one writer for a branch, also among those that begin at once
            behind = first_on[session.branch or session.session_id]
            facts += [*_funded(session), *_wait_in_line(session, world, behind=behind)]
    return facts


def _begin(session: SessionState, world: World, context: Context) -> list[Event]:
    waits = _wait_in_line(session, world)
    if waits:
        return [*_funded(session), *waits]
    resumes, continues = _carried_on(session, world)
    if not has_run(session.session_id, world):
        resumes = conversation_of_original(session, world)
    return begin_run(session, world, context, resumes=resumes, continues=continues)


def _wait_in_line(session: SessionState, world: World, *, behind: SessionId | None = None) -> list[Event]:
    resumes, continues = _carried_on(session, world)
    return wait_for_branch(session, world, resumes=resumes, continues=continues, behind=behind)


def _is_next(session: SessionState, world: World) -> bool:
    """Whether it began now, if its branch were free."""
    refused = unfit_to_run(session, world)
    if session.waiting is not None:
        return refused is None  # else it keeps its place in the line
    is_wanted = session.unfunded is not None or not has_run(session.session_id, world)
    return is_wanted and (refused is None or refused == locked_out(session, world))


def _funded(session: SessionState) -> list[Event]:
    return [SessionBudgetGiven(session_id=session.session_id)] if session.unfunded is not None else []


def _wait_for_another(session: SessionState, world: World) -> list[Event]:
    """Of the budgets that it is charged to another one is used up, too."""
    if session.unfunded is None:
        return []
    resumes, continues = _carried_on(session, world)
    return wait_for_budget(session, world, resumes=resumes, continues=continues)


def _carried_on(session: SessionState, world: World) -> tuple[RunState | None, RunState | None]:
    """The run whose conversation, and the one whose work goes on, where a budget kept that waiting."""
    held = session.unfunded
    if held is None:
        return None, None
    return (
        world.find(RunState, held.resumes) if held.resumes else None,
        world.find(RunState, held.continues) if held.continues else None,
    )
