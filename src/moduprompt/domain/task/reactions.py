"""What follows for a task from sessions, gates, approvals, runs and worktrees."""

from typing import Final, TypeAlias, assert_never

from moduprompt.domain.approval.events import ApprovalDenied
from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.gate.events import GateBlocked, GateSatisfied
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.run.conversations import conversation_of
from moduprompt.domain.run.decide import begin_run, unfit_to_run
from moduprompt.domain.run.events import RunExited, RunLost, RunStatusObserved
from moduprompt.domain.run.parking import is_parked_by
from moduprompt.domain.run.state import RunState
from moduprompt.domain.run.waiting import wait_for_branch
from moduprompt.domain.session.events import (
    SessionParked,
    SessionSpawned,
    SessionUnparked,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.attempts import (
    awaits_person,
    failed_attempt,
    input_facts,
    is_waiting,
    park_facts,
)
from moduprompt.domain.task.events import (
    StageChanged,
    TaskAssigned,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskResumed,
    TaskStarted,
    TaskUnblocked,
)
from moduprompt.domain.task.merging import tasks_of, tree_of
from moduprompt.domain.task.parked import go_on, go_on_all, wait_for_nothing
from moduprompt.domain.task.proposals import closed_gates, enter, gates_overtaken, missing_requests, moved
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.decide import merge_request, merge_target
from moduprompt.domain.worktree.events import WorktreeCommitted, WorktreeFailed, WorktreeMerged
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import Rejection

GOES_ON: Final = ("run_live", "writer_locked", "branch_locked")  # the run is there, or begins in its turn

Heard: TypeAlias = (
    GateSatisfied
    | GateBlocked
    | ApprovalDenied
    | StageChanged
    | SessionSpawned
    | SessionParked
    | SessionUnparked
    | TaskAssigned
    | TaskBlocked
    | TaskUnblocked
    | TaskStarted
    | TaskResumed
    | TaskCompleted
    | TaskFailed
    | TaskCancelled
    | WorktreeCommitted
    | WorktreeMerged
    | WorktreeFailed
    | RunStatusObserved
    | RunExited
    | RunLost
)


def react(event: Heard, world: World, context: Context) -> list[Event]:
    """Facts about tasks that follow from a fact about something else."""
    match event:
        case GateSatisfied():
            return _gate_opened(event, world)
        case GateBlocked():
            return _gate_closed(event, world, context)
        case ApprovalDenied():
            return _denied(event, world, context)
        case StageChanged():
            return _entered(event, world, context)
        case SessionSpawned():
            return _taken(event, world)
        case SessionParked():
            return _parked(event, world)
        case SessionUnparked():
            return _unparked(event, world, context)
        case TaskAssigned():
            return go_on_all(world, context)
        case TaskResumed():
            own = world.find(TaskState, event.task_id)
            return go_on(own, world, context) if own else []
        case TaskBlocked() | TaskUnblocked():
            return _as_its_program_stands(event, world)
        case TaskStarted():
            return _tried_again(event, world, context)
        case TaskCompleted() | TaskFailed() | TaskCancelled():
            own = world.find(TaskState, event.task_id)
            return wait_for_nothing(own, world) if own else []
        case WorktreeCommitted():
            return _committed(event, world)
        case WorktreeMerged() | WorktreeFailed():
            return _worktree_moved(event, world, context)
        case RunStatusObserved():
            return _observed(event, world)
        case RunExited() | RunLost():
            return _ended(event, world, context)
        case _:
            assert_never(event)


def _taken(event: SessionSpawned, world: World) -> list[Event]:
    """The first session that is made for a task makes its result; others help."""
    own = world.find(TaskState, event.task_id) if event.task_id else None
    if own is None or own.session_id is not None or not own.is_open() or own.project_id != event.project_id:
        return []
    return [TaskAssigned(task_id=own.task_id, session_id=event.session_id)]


def _gate_opened(event: GateSatisfied, world: World) -> list[Event]:
    gate = world.find(GateState, event.gate_id)
    own = world.find(TaskState, gate.task_id) if gate else None
    if own is None or own.phase != "running" or own.proposed is None:
        return []
    return [] if closed_gates(own, own.proposed, world) else moved(own, own.proposed)


def _gate_closed(event: GateBlocked, world: World, context: Context) -> list[Event]:
    own = world.find(TaskState, event.task_id)
    if own is None or not own.is_under_way() or own.proposed is None:
        return []
    closed = tuple(g for g in closed_gates(own, own.proposed, world) if g.gate_id == event.gate_id)
    return missing_requests(closed, own.proposed, world=world, context=context)


def _denied(event: ApprovalDenied, world: World, context: Context) -> list[Event]:
    approval = world.find(ApprovalState, event.approval_id)
    own = world.find(TaskState, approval.task_id) if approval and approval.task_id else None
    if approval is None or own is None or own.proposed is None:
        return []
    if all(gate.gate_id != approval.asker for gate in closed_gates(own, own.proposed, world)):
        return []
    lifted = TaskUnblocked(task_id=own.task_id, by="approval")
    reason = event.reason or f"approval {event.approval_id} was denied"
    return [lifted, *failed_attempt(own, FailureClass.APPROVAL_DENIED, reason=reason, context=context)]


def _entered(event: StageChanged, world: World, context: Context) -> list[Event]:
    own = world.find(TaskState, event.task_id)
    if own is None or own.kind_of(event.stage) != "merge":
        return []
    return _merge(own, world, context)


def _tried_again(event: TaskStarted, world: World, context: Context) -> list[Event]:
    own = world.find(TaskState, event.task_id)
    if own is None:
        return []
    if event.attempt == 1 or own.stage is None:
        return go_on(own, world, context)
    if own.is_merging():
        if closed_gates(own, own.stage, world):
            return enter(own, own.stage, world=world, context=context)  # more was committed since the yes
        return _merge(own, world, context)
    session = world.find(SessionState, own.session_id) if own.session_id else None
    if session is None:
        return []
    resumes = conversation_of(session.session_id, world) if own.carries_on else None
    refused = unfit_to_run(session, world)
    if refused is None:
        return begin_run(session, world, context, resumes=resumes)
    if _reason_of(refused) in GOES_ON:
        return wait_for_branch(session, world, resumes=resumes)
    return failed_attempt(own, _failure_behind(refused), reason=refused.message, context=context)


def _merge(own: TaskState, world: World, context: Context) -> list[Event]:
    tree = tree_of(own, world)
    into = merge_target(tree, world) if tree else None
    if tree is None or into is None or tree.status != "ready":
        reason = "no branch to merge: no session with a worktree in the project's repository is assigned"
        return failed_attempt(own, FailureClass.WORKTREE_CONFLICT, reason=reason, context=context)
    return [merge_request(tree, into)] if tree.merge_into is None else []


def _committed(event: WorktreeCommitted, world: World) -> list[Event]:
    tree = world.find(WorktreeState, event.worktree_id)
    if tree is None or not event.commits:
        return []
    tried = (own for own in tasks_of(tree, world) if own.is_open() or own.phase == "failed")
    return [fact for own in tried for fact in gates_overtaken(own, event.head, world)]


def _worktree_moved(event: WorktreeMerged | WorktreeFailed, world: World, context: Context) -> list[Event]:
    tree = world.find(WorktreeState, event.worktree_id)
    facts: list[Event] = []
    for own in tasks_of(tree, world) if tree else ():
        if isinstance(event, WorktreeFailed):
            facts.extend(_worktree_failed(event, own, context))
        elif own.is_merging() and own.stage == own.stages[-1].name:
            facts.append(TaskCompleted(task_id=own.task_id))
    return facts


def _worktree_failed(event: WorktreeFailed, own: TaskState, context: Context) -> list[Event]:
    if event.operation == "merge" and own.is_merging():
        return failed_attempt(own, event.failure, reason=event.reason, context=context)
    if event.operation == "create":
        # Its session is closed with it, so that trying again by itself can't help.
        return failed_attempt(own, FailureClass.DEPENDENCY_FAILED, reason=event.reason, context=context)
    return []


def _parked(event: SessionParked, world: World) -> list[Event]:
    facts: list[Event] = []
    for own in world.related(TaskState, event.session_id):
        if own.is_under_way() and not own.is_merging():
            facts.extend(park_facts(own, event.due_at))
    return facts


def _unparked(event: SessionUnparked, world: World, context: Context) -> list[Event]:
    """The same attempt goes on; where nothing can begin it has failed after all."""
    session = world.find(SessionState, event.session_id)
    refused = unfit_to_run(session, world) if session is not None and event.why == "due" else None
    facts: list[Event] = []
    for own in world.related(TaskState, event.session_id):
        if "rate_limit" not in own.blocks:
            continue
        facts.extend(park_facts(own, None))
        if event.why == "closed":
            reason = f"session {event.session_id} was closed while it was parked"
            facts.extend(failed_attempt(own, FailureClass.CANCELLED, reason=reason, context=context))
        elif refused is not None and _reason_of(refused) not in GOES_ON:
            reason = f"the window is open, but {refused.message}"
            facts.extend(failed_attempt(own, _failure_behind(refused), reason=reason, context=context))
    return facts


def _reason_of(refused: Rejection) -> object:
    return (refused.details or {}).get("reason")


def _failure_behind(refused: Rejection) -> FailureClass:
    """What an attempt has failed of whose run may not begin: nothing that another attempt could mend by itself."""
    match _reason_of(refused):
        case "budget_exceeded":
            return FailureClass.BUDGET_EXCEEDED
        case "session_closed":
            return FailureClass.CANCELLED
        case _:  # its worktree is gone, or its project takes no work
            return FailureClass.DEPENDENCY_FAILED


def _observed(event: RunStatusObserved, world: World) -> list[Event]:
    run = world.find(RunState, event.run_id)
    if run is None:
        return []
    waits = is_waiting(event.status)
    facts: list[Event] = []
    for own in world.related(TaskState, run.session_id):
        if own.is_under_way():
            facts.extend(input_facts(own, waits=waits))
    return facts


def _as_its_program_stands(event: TaskBlocked | TaskUnblocked, world: World) -> list[Event]:
    """A program that works and waits again in one breath is seen twice before its task has moved once."""
    own = world.find(TaskState, event.task_id)
    if event.by != "user_input" or own is None or not own.is_under_way():
        return []
    return input_facts(own, waits=awaits_person(own.session_id, world))


def _ended(event: RunExited | RunLost, world: World, context: Context) -> list[Event]:
    run = world.find(RunState, event.run_id)
    if run is None:
        return []
    facts: list[Event] = []
    failure = _failure_of(event, run)
    for own in world.related(TaskState, run.session_id):
        if not own.is_under_way():
            continue
        facts.extend(input_facts(own, waits=False))
        # While merging, the work is the kernel's: how its agent ended says nothing about it.
        is_parked = isinstance(event, RunExited) and is_parked_by(event, run, world)
        if failure is not None and not own.is_merging() and not is_parked:
            reason = f"run {event.run_id} ended as {failure.value}"
            facts.extend(failed_attempt(own, failure, reason=reason, context=context))
    return facts


def _failure_of(event: RunExited | RunLost, run: RunState) -> FailureClass | None:
    if run.stop_requested:
        # What a person stopped has not failed, what the kernel stopped has, for its reason. How it ended then is chance.
        return run.stop_failure
    if isinstance(event, RunLost):
        return FailureClass.LOST
    if event.failure is not None:
        return event.failure
    if event.how == "timed_out":
        return FailureClass.TIMEOUT
    if event.how == "exited" and event.outcome is not None:
        # Where the program's own word was judged, its exit code says nothing more. Unclear is no success.
        return None if event.outcome == "succeeded" else FailureClass.INVALID_OUTPUT
    if event.how == "not_started":
        return FailureClass.SPAWN_FAILED
    if event.how == "signalled":
        return FailureClass.SIGNALLED
    return FailureClass.EXIT_NONZERO if event.how == "exited" and event.code else None
