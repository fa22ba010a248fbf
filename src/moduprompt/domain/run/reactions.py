"""What follows for runs from facts about sessions, and from a run's end for its session and worktree."""

from typing import Final, TypeAlias, assert_never

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.run.beginning import begin_first, begin_what_waited, go_on
from moduprompt.domain.run.charging import charge_usage, charge_what_was_before, exceed, stop_charged
from moduprompt.domain.run.decide import has_run, live_run
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
from moduprompt.domain.run.saying import ANSWERED, SAID_TURN, began_behind
from moduprompt.domain.run.saying import RULE_VERSION as SAID_VERSION
from moduprompt.domain.run.state import RunState
from moduprompt.domain.run.waiting import (
    begin_next,
    tell_who_waits,
    wait_no_more,
)
from moduprompt.domain.session.events import (
    PromptCancelled,
    PromptPlaced,
    PromptSubmitted,
    PromptUncertain,
    SessionBranchGiven,
    SessionBudgetExceeded,
    SessionBudgetSet,
    SessionCharged,
    SessionClosed,
    SessionForked,
    SessionSpawned,
    SessionUnparked,
    SessionWorktreeAttached,
    SessionWorktreeDetached,
    TurnObserved,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.workspace.events import WorkspaceAdopted
from moduprompt.domain.worktree.events import WorktreeFailed, WorktreeSettled, WriterLocked, WriterReleased
from moduprompt.domain.worktree.sharing import give_back
from moduprompt.domain.worktree.state import WorktreeState

TYPED: Final = "prompt_submitted"  # the rule by which a program works that was just told something
ALIVE: Final = "process_alive"  # says nothing but that it has not ended

Heard: TypeAlias = (
    SessionWorktreeAttached
    | SessionWorktreeDetached
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
            return [] if has_run(event.session_id, world) else begin_first(event.session_id, world, context)
        case SessionWorktreeDetached():
            return _elsewhere(event, world)
        case SessionSpawned() | SessionForked():
            return begin_first(event.session_id, world, context) if event.place == "none" else []
        case SessionClosed():
            return _closed(event, world)
        case PromptPlaced():
            return _placed_nowhere(event, world)
        case PromptSubmitted():
            return _answered(event, world)
        case SessionBudgetSet():
            return [*charge_what_was_before(event, world), *begin_what_waited(event, world, context)]
        case SessionCharged() | SessionBudgetExceeded() | RunUsageReported():
            return _counted(event, world)
        case RunStatusObserved():
            return [*_moved_on(event, world), *settled_by(event, world), *stop_for_good(event, world)]
        case RunTurnEnded():
            return settled_by(event, world)
        case RunToolEnded() | RunTroubleObserved():
            return notice(event, world)
        case SessionUnparked():
            return go_on(event, world, context)
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


def _elsewhere(event: SessionWorktreeDetached, world: World) -> list[Event]:
    """It stands in no line any more for the branch of a place that is not its own: there it would wait for ever."""
    session = world.find(SessionState, event.session_id)
    if session is None or session.waiting is None:
        return []
    return [SessionBranchGiven(session_id=session.session_id)]


def _closed(event: SessionClosed, world: World) -> list[Event]:
    session = world.find(SessionState, event.session_id)
    if session is None:
        return []
    return [*_stopped_for_good(session, world), *_said_to_nobody(session)]


def _said_to_nobody(session: SessionState) -> list[Event]:
    """No later run will take what waits. Of what is at the keyboard it is found out how far it came."""
    return [
        PromptCancelled(session_id=session.session_id, prompt_id=each.prompt_id, reason="session closed")
        for each in session.prompts
        if not each.is_placed
    ]


def _stopped_for_good(session: SessionState, world: World) -> list[Event]:
    live = live_run(session.session_id, world)
    if live is not None:
        return [] if live.stop_requested else [RunStopRequested(run_id=live.run_id, reason="session closed")]
    parked = session.parked
    waits_no_more = (
        [SessionUnparked(session_id=session.session_id, run_id=parked.run_id, why="closed")] if parked else []
    )
    return [*waits_no_more, *_released(session, world)]


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
    """What it is seen doing after a prompt was typed shows that it has taken it. That nobody can say shows nothing.

    Nor does what it does in the turn that a prompt is to steer: that it did before. It says itself when it has taken it.
    """
    run = world.find(RunState, event.run_id)
    session = world.find(SessionState, run.session_id) if run else None
    last = session.submitted if session else None
    if session is None or last is None or last.run_id != event.run_id:
        return []
    if event.status == "unknown" or event.rule in (TYPED, ALIVE, ANSWERED) or last.turn is not None:
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
