"""Which orders about a run are taken."""

from typing import Final, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import Context, Decision, Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.project.decide import takes_no_work
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.run.commands import (
    ReportConversation,
    ReportExited,
    ReportLost,
    ReportSaid,
    ReportStarted,
    ReportStatus,
    ResizeRun,
    RunCommand,
    StartRun,
    StopRun,
)
from moduprompt.domain.run.conversations import conversation_of
from moduprompt.domain.run.events import (
    RunConversationChosen,
    RunExited,
    RunLost,
    RunOutputRecorded,
    RunRequested,
    RunResized,
    RunStarted,
    RunStatusObserved,
    RunStopRequested,
)
from moduprompt.domain.run.interrupting import INTERRUPTED, ends_by_interrupt
from moduprompt.domain.run.parking import PARKING
from moduprompt.domain.run.saying import decide_said
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.budgets import spent_out
from moduprompt.domain.session.closed import closed
from moduprompt.domain.session.events import SessionUnparked
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.session.waits import waits_no_more
from moduprompt.domain.worktree.sharing import locked_for, take_lease
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import REASON_MAX, Rejection, RunId, TextRef, invalid, missing

STOPPED_FOR: Final = "stopped_for"  # the rule by which a run has failed that the kernel stopped for a reason
ROWS, COLS = 40, 120  # wide enough for the full-screen programs, until someone attaches


def decide(command: RunCommand, own: RunState | None, world: World, context: Context) -> Decision:
    """Facts, or why not."""
    if isinstance(command, StartRun):
        return _start(command, world, context)
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    match command:
        case StopRun():
            return _stop(command, own, world)
        case ResizeRun():
            return _resize(command, own)
        case ReportConversation():
            return _chosen(command, own)
        case ReportStarted():
            if own.status != "requested":
                return []
            return [_started(command)]
        case ReportStatus():
            return _observe(command, own)
        case ReportSaid():
            return decide_said(command, own, world)
        case ReportExited():
            return _exit(command, own, world)
        case ReportLost():
            return [RunLost(run_id=own.run_id, evidence=command.evidence)] if own.is_live() else []
        case _:
            assert_never(command)


def _stop(command: StopRun, own: RunState, world: World) -> Decision:
    """Whoever says so means that it is over: a run that would begin again by itself does so no more."""
    if not own.is_live():
        return _stay_ended(own, world)
    if own.stop_requested and own.stop_failure not in PARKING:
        return []
    return [RunStopRequested(run_id=own.run_id, reason=command.reason)]


def _stay_ended(own: RunState, world: World) -> Decision:
    session = world.find(SessionState, own.session_id)
    if session is None:
        return []
    if session.parked is not None and session.parked.run_id == own.run_id:
        return [SessionUnparked(session_id=session.session_id, run_id=own.run_id, why="stopped")]
    waits = session.waiting or session.unfunded
    return waits_no_more(session) if waits is not None and waits.continues == own.run_id else []


def _started(command: ReportStarted) -> RunStarted:
    return RunStarted(
        run_id=command.run_id,
        pid=command.pid,
        start_time=command.start_time,
        caught_by=command.caught_by,
        limits_held=command.limits_held,
        limits=command.limits.to_limits() if command.limits else None,
        can=command.can,
    )


def _chosen(command: ReportConversation, own: RunState) -> Decision:
    """Once: what a run began with does not change afterwards."""
    if own.status != "requested" or own.resumes is None or own.begun is not None:
        return []
    return [
        RunConversationChosen(
            run_id=own.run_id,
            begun=command.begun,
            why=command.why,
            conversation_id=command.conversation_id,
            capsules=command.capsules,
        )
    ]


def begin_run(
    session: SessionState,
    world: World,
    context: Context,
    *,
    resumes: RunState | None = None,
    continues: RunState | None = None,
    prompt: TextRef | None = None,
) -> list[Event]:
    """The session's next run, with the writer's lease of its worktree where nobody holds it.

    `resumes` is the run whose conversation it is to carry on, `prompt` what this run alone is told; `continues` the
    run whose work goes on, so that it is told what that one was.
    """
    told = continues if continues is not None and continues.prompt is not None else None
    run_id = context.mint(RunId)
    earlier = sum(1 for _ in world.related(RunState, session.session_id))
    tree = world.find(WorktreeState, session.worktree_id) if session.worktree_id else None
    facts: list[Event] = []
    if tree is not None and tree.writer is None:
        facts.extend(take_lease(tree, session.session_id))
    request = RunRequested(
        run_id=run_id,
        session_id=session.session_id,
        project_id=session.project_id,
        worktree_id=session.worktree_id,
        agent=session.agent,
        ordinal=earlier + 1,
        token_sha256=context.token_digest(run_id),
        rows=ROWS,
        cols=COLS,
        resumes=resumes.run_id if resumes else None,
        prompt=told.prompt if told else prompt,
        told_in=(told.told_in or told.run_id) if told else None,
    )
    if session.parked is not None:
        # Whoever starts it before its time has waited enough; the timer finds nothing to do.
        parked = session.parked.run_id
        facts.append(SessionUnparked(session_id=session.session_id, run_id=parked, why="started"))
    return [*facts, *waits_no_more(session), request]


def live_run(session_id: str, world: World) -> RunState | None:
    """The run of a session that may have a process; there is at most one."""
    return next((run for run in world.related(RunState, session_id) if run.is_live()), None)


def has_run(session_id: str, world: World) -> bool:
    """Whether a session ever had a run, or has one now."""
    return any(True for _ in world.related(RunState, session_id))


def still_runs(session: SessionState, world: World) -> Rejection | None:
    """Why nothing is done that a live run would miss; None where there is none."""
    live = live_run(session.session_id, world)
    if live is None:
        return None
    return invalid(
        "run_live",
        f"session {session.session_id} has a live run {live.run_id}",
        hint=f"mpctl run stop {live.run_id}",
        run_id=live.run_id,
    )


def _start(command: StartRun, world: World, context: Context) -> Decision:
    session = world.find(SessionState, command.session_id)
    if session is None:
        return missing("session", command.session_id)
    if isinstance(context.observed, Rejection):
        return context.observed
    refused = unfit_to_run(session, world)
    if refused is not None:
        return refused
    resumes = conversation_of(session.session_id, world) if command.resume else None
    return begin_run(session, world, context, resumes=resumes, prompt=context.text_ref)


def unfit_to_run(session: SessionState, world: World) -> Rejection | None:
    """Why this session can't start its program now; None where it can."""
    if session.status == "closed":
        return closed(session, "starts nothing")
    project = world.find(ProjectState, session.project_id)
    return (
        still_runs(session, world)
        or (takes_no_work(project, world) if project else None)
        or spent_out(session, world)
        or _unfit_place(session, world)
        or locked_out(session, world)
    )


def locked_out(session: SessionState, world: World) -> Rejection | None:
    """Who keeps this session from writing where it works; None where nobody does."""
    tree = world.find(WorktreeState, session.worktree_id) if session.worktree_id else None
    return locked_for(tree, session.session_id, world) if tree else None


def _unfit_place(session: SessionState, world: World) -> Rejection | None:
    tree = world.find(WorktreeState, session.worktree_id) if session.worktree_id else None
    if session.place == "new_worktree" and (tree is None or tree.status != "ready"):
        return invalid(
            "no_worktree",
            f"session {session.session_id} has no worktree to run in",
            hint=f"mpctl session attach-worktree {session.session_id} WORKTREE"
            if tree is None
            else f"mpctl worktree show {tree.worktree_id}",
        )
    return None


def _resize(command: ResizeRun, own: RunState) -> Decision:
    if not own.is_live():
        return invalid(
            "run_ended",
            f"run {own.run_id} has ended; its terminal has no size any more",
            hint=f"mpctl run start {own.session_id}",
        )
    if (command.rows, command.cols) == (own.rows, own.cols):
        return []
    return [RunResized(run_id=own.run_id, rows=command.rows, cols=command.cols)]


def _observe(command: ReportStatus, own: RunState) -> Decision:
    if own.status != "started" or own.observed == command.status:
        return []
    if own.said_upto > 0:  # it tells itself what it does: no look at it from outside knows better
        return []
    return [
        RunStatusObserved(
            run_id=own.run_id,
            status=command.status,
            rule=command.rule,
            rule_version=command.rule_version,
            evidence=command.evidence,
        )
    ]


def _exit(command: ReportExited, own: RunState, world: World) -> Decision:
    if not own.is_live():
        return []
    facts: list[Event] = []
    if command.recording is not None:
        facts.append(
            RunOutputRecorded(
                run_id=own.run_id, output_bytes=command.output_bytes, recording=command.recording
            )
        )
    facts.append(_exited(command, own, world))
    return facts


def _exited(command: ReportExited, own: RunState, world: World) -> RunExited:
    exited = RunExited(
        run_id=own.run_id,
        how=command.how,
        code=command.code,
        signal=command.signal,
        failure=command.failure,
        reason=command.reason,
        output_bytes=command.output_bytes,
        leftovers=command.leftovers,
        outcome=command.outcome,
        rule=command.rule,
        evidence=command.evidence,
    )
    said = f"; by itself: {command.rule}: {command.evidence}" if command.rule else ""
    if own.stop_failure is not None:
        # Whether its program was fast enough to end by itself first is chance, and decides nothing.
        return replace(
            exited,
            failure=own.stop_failure,
            outcome="failed",
            rule=STOPPED_FOR,
            evidence=f"the kernel stopped it: {own.stop_failure.value}{said}"[:REASON_MAX],
        )
    if ends_by_interrupt(command, own, world):
        # Whether its program got out before its end that its turn was interrupted is chance, too.
        return replace(
            exited,
            failure=FailureClass.CANCELLED,
            rule=INTERRUPTED,
            evidence=f"it ended when it was interrupted{said}"[:REASON_MAX],
        )
    return exited
