"""What follows for runs from facts about sessions, and from a run's end for its session and worktree."""

from typing import Final, TypeAlias, assert_never

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.run.charging import charge_usage, charge_what_was_before, exceed, stop_charged
from moduprompt.domain.run.conversations import conversation_of
from moduprompt.domain.run.decide import begin_run, live_run, locked_out, unfit_to_run
from moduprompt.domain.run.events import (
    RunExited,
    RunLost,
    RunStatusObserved,
    RunStopRequested,
    RunToolEnded,
    RunTroubleObserved,
    RunTurnEnded,
    RunUsageReported,
)
from moduprompt.domain.run.intents import TAKES_TEXT
from moduprompt.domain.run.interrupting import settled_by
from moduprompt.domain.run.noticing import notice
from moduprompt.domain.run.parking import park, stop_for_good
from moduprompt.domain.run.saying import RULE_VERSION as SAID_VERSION
from moduprompt.domain.run.saying import SAID_TURN, began_behind
from moduprompt.domain.run.state import RunState
from moduprompt.domain.run.waiting import (
    begin_next,
    begin_waiting,
    tell_who_waits,
    wait_for_branch,
    wait_no_more,
)
from moduprompt.domain.session.budgets import charged_for, spent_out
from moduprompt.domain.session.events import (
    PromptPlaced,
    PromptSubmitted,
    PromptUncertain,
    SessionBudgetExceeded,
    SessionBudgetSet,
    SessionCharged,
    SessionClosed,
    SessionForked,
    SessionSpawned,
    SessionUnparked,
    SessionWorktreeAttached,
    TurnObserved,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.workspace.events import WorkspaceAdopted
from moduprompt.domain.worktree.events import WorktreeFailed, WorktreeSettled, WriterLocked, WriterReleased
from moduprompt.domain.worktree.sharing import give_back
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import SessionId

TYPED: Final = "prompt_submitted"  # the rule by which a program works that was just told something
ALIVE: Final = "process_alive"  # says nothing but that it has not ended

Heard: TypeAlias = (
    SessionWorktreeAttached
    | SessionSpawned
    | SessionForked
    | SessionClosed
    | PromptPlaced
    | PromptSubmitted
    | SessionBudgetSet
    | SessionCharged
    | SessionBudgetExceeded
    | SessionUnparked
    | RunUsageReported
    | RunToolEnded
    | RunTroubleObserved
    | RunTurnEnded
    | RunStatusObserved
    | RunExited
    | RunLost
    | WriterLocked
    | WriterReleased
    | WorktreeSettled
    | WorktreeFailed
    | WorkspaceAdopted
)


def react(event: Heard, world: World, context: Context) -> list[Event]:
    """The first run starts when its place is there; the writer's lease ends with the run.

    The runs of a workspace that is adopted have their keepers elsewhere: here they are lost.
    """
    match event:
        case SessionWorktreeAttached():
            # One that was given another place when it had run is started by whoever gave it.
            return [] if _has_run(event.session_id, world) else _begin(event.session_id, world, context)
        case SessionSpawned() | SessionForked():
            return _begin(event.session_id, world, context) if event.place == "none" else []
        case SessionClosed():
            return _closed(event, world)
        case PromptPlaced():
            return _placed_nowhere(event, world)
        case PromptSubmitted():
            return _answered(event, world)
        case SessionBudgetSet():
            return [*charge_what_was_before(event, world), *_begin_what_waited(event, world, context)]
        case SessionCharged() | SessionBudgetExceeded() | RunUsageReported():
            return _counted(event, world)
        case RunStatusObserved():
            return [*_moved_on(event, world), *settled_by(event, world), *stop_for_good(event, world)]
        case RunTurnEnded():
            return settled_by(event, world)
        case RunToolEnded() | RunTroubleObserved():
            return notice(event, world)
        case SessionUnparked():
            return _unparked(event, world, context)
        case RunExited():
            return [*_ended(event, world), *settled_by(event, world), *park(event, world, context)]
        case RunLost():
            return [*_ended(event, world), *settled_by(event, world)]
        case WriterLocked():
            return tell_who_waits(event, world)
        case WriterReleased() | WorktreeSettled() | WorktreeFailed():
            return begin_next(event, world, context)
        case WorkspaceAdopted():
            return _left_behind(world)
        case _:
            assert_never(event)


def _counted(event: SessionCharged | SessionBudgetExceeded | RunUsageReported, world: World) -> list[Event]:
    match event:
        case RunUsageReported():
            return charge_usage(event, world)
        case SessionCharged():
            return exceed(event, world)
        case SessionBudgetExceeded():
            return stop_charged(event, world)
        case _:
            assert_never(event)


def _begin(session_id: str, world: World, context: Context) -> list[Event]:
    session = world.find(SessionState, session_id)
    if session is None or session.status == "closed" or live_run(session_id, world) is not None:
        return []
    if spent_out(session, world) is not None:
        return []  # its budget was used up while its worktree was made; whoever raises it begins the run
    waits = wait_for_branch(session, world)
    if waits:
        return waits
    # An alternative to a session carries on what that one has said, as far as its program can.
    source = conversation_of(session.fork_of, world) if session.fork_of else None
    return begin_run(session, world, context, resumes=source)


def _begin_what_waited(event: SessionBudgetSet, world: World, context: Context) -> list[Event]:
    """Runs that could not begin while a budget was used up begin when it is raised, or taken away.

    First runs, and those whose branch became free meanwhile.
    """
    if event.begins:
        return []  # a bound more lets nobody begin
    facts: list[Event] = []
    first_on: dict[str, SessionId] = {}
    for session in world.every(SessionState):
        payers = (payer.session_id for payer in charged_for(session, world))
        if not _waits_to_begin(session, world) or event.session_id not in payers:
            continue
        first = first_on.setdefault(session.branch or session.session_id, session.session_id)
        if first == session.session_id:
            facts += begin_waiting(session, world, context) or _begin(session.session_id, world, context)
        else:  # one writer for a branch, also among those that begin at once
            facts += wait_for_branch(session, world, behind=first)
    return facts


def _waits_to_begin(session: SessionState, world: World) -> bool:
    refused = unfit_to_run(session, world)
    if session.waiting is not None:
        return refused is None  # else it keeps its place in the line
    has_run = _has_run(session.session_id, world)
    return not has_run and (refused is None or refused == locked_out(session, world))


def _has_run(session_id: str, world: World) -> bool:
    return any(True for _ in world.related(RunState, session_id))


def _closed(event: SessionClosed, world: World) -> list[Event]:
    live = live_run(event.session_id, world)
    if live is not None:
        return [] if live.stop_requested else [RunStopRequested(run_id=live.run_id, reason="session closed")]
    session = world.find(SessionState, event.session_id)
    if session is None:
        return []
    parked = session.parked
    waits_no_more = (
        [SessionUnparked(session_id=session.session_id, run_id=parked.run_id, why="closed")] if parked else []
    )
    return [*waits_no_more, *_released(session, world)]


def _unparked(event: SessionUnparked, world: World, context: Context) -> list[Event]:
    session = world.find(SessionState, event.session_id)
    if event.why != "due" or session is None:
        return []
    # The same work goes on: with its conversation where its program can carry it on, and told the same.
    resumes = conversation_of(session.session_id, world)
    parked = world.find(RunState, event.run_id)
    if unfit_to_run(session, world) is not None:
        return wait_for_branch(session, world, resumes=resumes, continues=parked)
    return begin_run(session, world, context, resumes=resumes, continues=parked)


def _placed_nowhere(event: PromptPlaced, world: World) -> list[Event]:
    if live_run(event.session_id, world) is not None:
        return []
    # Its run ended while the hand reached for the keys: no later run may take it for its own.
    evidence = "there was no run any more when its turn came"
    return [PromptUncertain(session_id=event.session_id, prompt_id=event.prompt_id, evidence=evidence)]


def _answered(event: PromptSubmitted, world: World) -> list[Event]:
    """It works on what was typed, until something else is seen: who typed two at once would spoil both.

    Where its program has told of a turn behind the last key, that turn is the prompt's: it was taken, and what the
    program was seen doing since then is what it does.
    """
    live = live_run(event.session_id, world)
    if live is None or event.run_id not in (None, live.run_id):
        return []
    if event.output_bytes is not None and live.turn_at > event.output_bytes:
        return [
            TurnObserved(
                session_id=event.session_id,
                prompt_id=event.prompt_id,
                rule=SAID_TURN,
                rule_version=SAID_VERSION,
                evidence=began_behind(live.turns),
            )
        ]
    if live.observed not in TAKES_TEXT:
        return []
    return [
        RunStatusObserved(
            run_id=live.run_id,
            status="working",
            rule=TYPED,
            rule_version=1,
            evidence=f"prompt {event.prompt_id} was typed",
        )
    ]


def _moved_on(event: RunStatusObserved, world: World) -> list[Event]:
    """What it is seen doing after a prompt was typed shows that it has taken it, or died of it."""
    run = world.find(RunState, event.run_id)
    session = world.find(SessionState, run.session_id) if run else None
    last = session.submitted if session else None
    if session is None or last is None or last.run_id != event.run_id or event.rule in (TYPED, ALIVE):
        return []
    return [
        TurnObserved(
            session_id=session.session_id,
            prompt_id=last.prompt_id,
            rule=event.rule,
            rule_version=event.rule_version,
            evidence=event.evidence,
        )
    ]


def _ended(event: RunExited | RunLost, world: World) -> list[Event]:
    run = world.find(RunState, event.run_id)
    session = world.find(SessionState, run.session_id) if run else None
    if session is None:
        return []
    evidence = f"run {event.run_id} ended before it was confirmed"
    doubtful = [
        PromptUncertain(session_id=session.session_id, prompt_id=each.prompt_id, evidence=evidence)
        for each in session.prompts
        if each.is_placed
    ]
    return [*_released(session, world), *doubtful]


def _left_behind(world: World) -> list[Event]:
    evidence = "it ran where the workspace was before it was adopted here"
    lost = [RunLost(run_id=run.run_id, evidence=evidence) for run in world.every(RunState) if run.is_live()]
    return [*wait_no_more(world), *lost]


def _released(session: SessionState, world: World) -> list[Event]:
    # A closed session holds nothing anywhere: nobody would be left to give it back.
    if session.status == "closed":
        trees = list(world.every(WorktreeState))
    else:
        own = world.find(WorktreeState, session.worktree_id) if session.worktree_id else None
        trees = [own] if own else []
    return [event for tree in trees if tree.writer == session.session_id for event in give_back(tree)]
