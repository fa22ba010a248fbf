"""What follows for a task from gates, approvals, runs and worktrees."""

from moduprompt.domain.approval.events import ApprovalDenied
from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.gate.events import GateSatisfied
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.run.events import RunExited, RunLost, RunStatusObserved
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.decide import failed_attempt
from moduprompt.domain.task.events import StageChanged, TaskBlocked, TaskCompleted, TaskUnblocked
from moduprompt.domain.task.proposals import closed_gates, moved
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.decide import merge_request
from moduprompt.domain.worktree.events import WorktreeFailed, WorktreeMerged
from moduprompt.domain.worktree.state import WorktreeState


def react(event: Event, world: World, context: Context) -> list[Event]:
    """Facts about tasks that follow from a fact about something else."""
    match event:
        case GateSatisfied():
            return _gate_opened(event, world)
        case ApprovalDenied():
            return _denied(event, world, context)
        case StageChanged():
            return _entered(event, world, context)
        case WorktreeMerged() | WorktreeFailed():
            return _merged(event, world, context)
        case RunStatusObserved():
            return _observed(event, world)
        case RunExited() | RunLost():
            return _ended(event, world, context)
        case _:
            return []


def _gate_opened(event: GateSatisfied, world: World) -> list[Event]:
    gate = world.find(GateState, event.gate_id)
    own = world.find(TaskState, gate.task_id) if gate else None
    if own is None or own.phase != "running" or own.proposed is None:
        return []
    return [] if closed_gates(own, own.proposed, world) else moved(own, own.proposed)


def _denied(event: ApprovalDenied, world: World, context: Context) -> list[Event]:
    approval = world.find(ApprovalState, event.approval_id)
    own = world.find(TaskState, approval.task_id) if approval else None
    if own is None or "approval" not in own.blocks:
        return []
    lifted = TaskUnblocked(task_id=own.task_id, by="approval")
    reason = event.reason or f"approval {event.approval_id} was denied"
    return [lifted, *failed_attempt(own, FailureClass.APPROVAL_DENIED, reason=reason, context=context)]


def _entered(event: StageChanged, world: World, context: Context) -> list[Event]:
    own = world.find(TaskState, event.task_id)
    if own is None or own.stages[own.place_of(event.stage)].kind != "merge":
        return []
    tree = _tree_of(own, world)
    project = world.find(ProjectState, own.project_id)
    main = project.main_repository() if project else None
    if tree is None or main is None:
        reason = "no branch to merge: no session with a worktree is assigned"
        return failed_attempt(own, FailureClass.WORKTREE_CONFLICT, reason=reason, context=context)
    return [merge_request(tree, main.branch)] if tree.merge_into is None else []


def _merged(event: WorktreeMerged | WorktreeFailed, world: World, context: Context) -> list[Event]:
    if isinstance(event, WorktreeFailed) and event.operation != "merge":
        return []
    tree = world.find(WorktreeState, event.worktree_id)
    if tree is None or tree.session_id is None:
        return []
    facts: list[Event] = []
    for own in world.related(TaskState, tree.session_id):
        merging = own.phase == "running" and own.stages[own.place_of(own.stage)].kind == "merge"
        if not merging:
            continue
        if isinstance(event, WorktreeFailed):
            facts.extend(failed_attempt(own, event.failure, reason=event.reason, context=context))
        elif own.stage == own.stages[-1].name:
            facts.append(TaskCompleted(task_id=own.task_id))
    return facts


def _observed(event: RunStatusObserved, world: World) -> list[Event]:
    run = world.find(RunState, event.run_id)
    if run is None:
        return []
    waits = event.status in ("waiting_input", "blocked_on_permission")
    facts: list[Event] = []
    for own in world.related(TaskState, run.session_id):
        if own.phase != "running" or waits == ("user_input" in own.blocks):
            continue
        facts.append(
            TaskBlocked(task_id=own.task_id, by="user_input")
            if waits
            else TaskUnblocked(task_id=own.task_id, by="user_input")
        )
    return facts


def _ended(event: RunExited | RunLost, world: World, context: Context) -> list[Event]:
    run = world.find(RunState, event.run_id)
    if run is None:
        return []
    facts: list[Event] = []
    failure = _failure_of(event)
    for own in world.related(TaskState, run.session_id):
        if own.phase != "running":
            continue
        if "user_input" in own.blocks:
            facts.append(TaskUnblocked(task_id=own.task_id, by="user_input"))
        if failure is not None:
            reason = f"run {event.run_id} ended as {failure.value}"
            facts.extend(failed_attempt(own, failure, reason=reason, context=context))
    return facts


def _failure_of(event: RunExited | RunLost) -> FailureClass | None:
    if isinstance(event, RunLost):
        return FailureClass.LOST
    if event.failure is not None:
        return event.failure
    if event.how == "timed_out":
        return FailureClass.TIMEOUT
    if event.how == "signalled":
        return FailureClass.SIGNALLED
    return FailureClass.EXIT_NONZERO if event.how == "exited" and event.code else None


def _tree_of(own: TaskState, world: World) -> WorktreeState | None:
    session = world.find(SessionState, own.session_id) if own.session_id else None
    return world.find(WorktreeState, session.worktree_id) if session and session.worktree_id else None
