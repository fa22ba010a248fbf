"""Which orders about a task are taken."""

from typing import assert_never

from moduprompt.domain.decider import Context, Decision, Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.gate.events import GateBlocked
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.commands import (
    AdvanceStage,
    AssignTask,
    CancelTask,
    CompleteTask,
    CreateTask,
    FailTask,
    FireDeadline,
    FireRetry,
    PauseTask,
    ResumeTask,
    RetryTask,
    SetDeadline,
    StartTask,
    TaskCommand,
)
from moduprompt.domain.task.events import (
    AttemptFailed,
    DeadlineMissed,
    DeadlineSet,
    RetryScheduled,
    StageChanged,
    TaskAssigned,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskPaused,
    TaskResumed,
    TaskStarted,
)
from moduprompt.domain.task.proposals import propose
from moduprompt.domain.task.stages import Stage
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import GateId, Micros, Rejection, TaskId, invalid, missing, to_micros, to_timestamp


def decide(command: TaskCommand, own: TaskState | None, world: World, context: Context) -> Decision:
    """Facts, or why not."""
    if isinstance(command, CreateTask):
        return _create(command, world, context)
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    if isinstance(command, FireRetry | FireDeadline):
        return _fire(command, own)
    if isinstance(command, RetryTask):
        return _retry(own)
    if isinstance(command, CancelTask) and own.phase == "cancelled":
        return []
    if isinstance(command, CompleteTask) and own.phase == "succeeded":
        return []
    refused = _closed(own)
    return refused if refused is not None else _on_open(command, own, world=world, context=context)


def _on_open(
    command: AssignTask
    | StartTask
    | AdvanceStage
    | CompleteTask
    | FailTask
    | CancelTask
    | PauseTask
    | ResumeTask
    | SetDeadline,
    own: TaskState,
    *,
    world: World,
    context: Context,
) -> Decision:
    match command:
        case AssignTask():
            return _assign(command, own, world)
        case StartTask():
            return _start(own)
        case AdvanceStage():
            return propose(own, command.to, world=world, context=context)
        case CompleteTask():
            return _complete(own)
        case FailTask():
            return failed_attempt(own, command.failure, reason=command.reason, context=context)
        case CancelTask():
            return [TaskCancelled(task_id=own.task_id, reason=command.reason)]
        case PauseTask():
            return [] if own.phase == "paused" else [TaskPaused(task_id=own.task_id)]
        case ResumeTask():
            return [TaskResumed(task_id=own.task_id)] if own.phase == "paused" else []
        case SetDeadline():
            return _deadline(command, own, context)
        case _:
            assert_never(command)


def failed_attempt(own: TaskState, failure: FailureClass, *, reason: str, context: Context) -> list[Event]:
    """The end of an attempt: another one where the rule allows, else the end of the task."""
    if own.phase != "running":
        return []
    facts: list[Event] = [
        AttemptFailed(task_id=own.task_id, attempt=own.attempt, failure=failure, reason=reason)
    ]
    if not own.retry.allows(failure, attempt=own.attempt):
        return [*facts, TaskFailed(task_id=own.task_id, failure=failure, reason=reason)]
    delay = own.retry.delay_us(attempt=own.attempt, seed=context.seed)
    due_at = to_timestamp(Micros(context.now + delay))
    return [*facts, RetryScheduled(task_id=own.task_id, attempt=own.attempt + 1, due_at=due_at)]


def _create(command: CreateTask, world: World, context: Context) -> Decision:
    project = world.find(ProjectState, command.project_id)
    if project is None:
        return missing("project", command.project_id)
    if project.status == "archived":
        return invalid("project_archived", f"project {project.project_id} is archived and takes no work")
    names = [stage.name for stage in command.stages]
    if len(set(names)) != len(names):
        return invalid("stage_name_twice", "two stages of this task have the same name")
    task_id = context.mint(TaskId)
    stages: list[Stage] = []
    gates: list[Event] = []
    for spec in command.stages:
        ids = tuple(context.mint(GateId) for _ in spec.gates)
        stages.append(Stage(name=spec.name, kind=spec.kind, gate_ids=ids))
        gates.extend(
            GateBlocked(
                gate_id=gate_id,
                task_id=task_id,
                stage=spec.name,
                gate_kind=gate.kind,
                approvals_needed=gate.approvals_needed,
            )
            for gate_id, gate in zip(ids, spec.gates, strict=True)
        )
    created = TaskCreated(
        task_id=task_id,
        project_id=command.project_id,
        title=command.title,
        stages=tuple(stages),
        retry=command.retry,
        priority=command.priority,
        description=context.text_ref,
    )
    return [created, *gates]


def _closed(own: TaskState) -> Rejection | None:
    if own.is_open():
        return None
    return invalid(
        "task_closed",
        f"task {own.task_id} is {own.phase}",
        hint=f"mpctl task retry {own.task_id}" if own.phase == "failed" else None,
        status=own.phase,
    )


def _assign(command: AssignTask, own: TaskState, world: World) -> Decision:
    session = world.find(SessionState, command.session_id)
    if session is None:
        return missing("session", command.session_id)
    if session.project_id != own.project_id:
        return invalid(
            "other_project", f"session {session.session_id} belongs to project {session.project_id}"
        )
    if own.session_id == session.session_id:
        return []
    return [TaskAssigned(task_id=own.task_id, session_id=session.session_id)]


def _start(own: TaskState) -> Decision:
    if own.phase == "running":
        return []
    if own.phase == "paused":
        return invalid(
            "task_paused", f"task {own.task_id} is paused", hint=f"mpctl task resume {own.task_id}"
        )
    return _begin(own)


def _begin(own: TaskState) -> list[Event]:
    facts: list[Event] = [TaskStarted(task_id=own.task_id, attempt=own.attempt + 1)]
    if own.stage is None:
        facts.append(StageChanged(task_id=own.task_id, stage=own.stages[0].name))
    return facts


def _complete(own: TaskState) -> Decision:
    if own.phase != "running" or own.blocks:
        return invalid("task_not_running", f"task {own.task_id} is {own.status()}", status=own.status())
    if own.stage != own.stages[-1].name:
        return invalid(
            "stages_left",
            f"task {own.task_id} is in {own.stage}; its last stage is {own.stages[-1].name}",
            hint=f"mpctl task advance {own.task_id}",
        )
    if own.stages[-1].kind == "merge":
        return invalid("merge_under_way", f"task {own.task_id} ends by itself when its branch is merged")
    return [TaskCompleted(task_id=own.task_id)]


def _retry(own: TaskState) -> Decision:
    if own.phase != "failed":
        return [] if own.is_open() else (_closed(own) or [])
    return _begin(own)


def _deadline(command: SetDeadline, own: TaskState, context: Context) -> Decision:
    if command.due_at == own.deadline:
        return []
    if command.due_at is not None:
        try:
            due = to_micros(command.due_at)
        except ValueError:
            return invalid("no_such_time", f"{command.due_at} is no point in time")
        if due <= context.now:
            return invalid("deadline_past", f"{command.due_at} has passed already")
    return [DeadlineSet(task_id=own.task_id, due_at=command.due_at)]


def _fire(command: FireRetry | FireDeadline, own: TaskState) -> Decision:
    match command:
        case FireRetry():
            if own.phase != "queued" or own.retry_due is None or command.attempt != own.attempt + 1:
                return []
            return _begin(own)
        case FireDeadline():
            if not own.is_open() or own.deadline != command.due_at:
                return []
            return [DeadlineMissed(task_id=own.task_id, due_at=command.due_at)]
        case _:
            assert_never(command)
