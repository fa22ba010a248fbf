"""Which orders about a task are taken."""

from typing import assert_never

from moduprompt.domain.decider import Context, Decision, Event, World
from moduprompt.domain.gate.events import GateBlocked
from moduprompt.domain.project.decide import takes_no_work
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.session.closed import closed
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.attempts import (
    awaits_person,
    begin_attempt,
    failed_attempt,
    input_facts,
    park_facts,
    parked_until,
)
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
    DeadlineMissed,
    DeadlineSet,
    TaskAssigned,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskPaused,
    TaskResumed,
)
from moduprompt.domain.task.proposals import closed_gates, moved, propose
from moduprompt.domain.task.stages import Stage
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import GateId, Rejection, TaskId, invalid, missing, to_micros


def decide(command: TaskCommand, own: TaskState | None, world: World, context: Context) -> Decision:
    """Facts, or why not."""
    if isinstance(command, CreateTask):
        return _create(command, world, context)
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    if isinstance(command, FireRetry | FireDeadline):
        return _fire(command, own, world=world, context=context)
    if isinstance(command, RetryTask):
        return _retry(own, world, context)
    if isinstance(command, AssignTask) and own.phase == "failed":
        return _assign(command, own, world)  # so that somebody else can retry it
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
            return _start(own, world, context)
        case AdvanceStage():
            return propose(own, command.to, world=world, context=context)
        case CompleteTask():
            return _complete(own)
        case FailTask():
            return _fail(command, own, context)
        case CancelTask():
            return [TaskCancelled(task_id=own.task_id, reason=command.reason)]
        case PauseTask():
            return [] if own.phase == "paused" else [TaskPaused(task_id=own.task_id)]
        case ResumeTask():
            return _resume(own, world)
        case SetDeadline():
            return _deadline(command, own, context)
        case _:
            assert_never(command)


def _create(command: CreateTask, world: World, context: Context) -> Decision:
    project = world.find(ProjectState, command.project_id)
    if project is None:
        return missing("project", command.project_id)
    refused = takes_no_work(project, world)
    if refused is not None:
        return refused
    names = [stage.name for stage in command.stages]
    if len(set(names)) != len(names):
        return invalid(
            "stage_name_twice",
            "two stages of this task have the same name",
            hint="give each stage a name of its own",
        )
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
        retry=command.retry.to_budget(),
        priority=command.priority,
        description=context.text_ref,
        carry_on=command.carry_on,
    )
    return [created, *gates]


def _closed(own: TaskState) -> Rejection | None:
    if own.is_open():
        return None
    return invalid(
        "task_closed",
        f"task {own.task_id} is {own.phase}",
        hint=f"mpctl task retry {own.task_id}"
        if own.phase == "failed"
        else "mpctl task create makes another",
        status=own.phase,
    )


def _assign(command: AssignTask, own: TaskState, world: World) -> Decision:
    session = world.find(SessionState, command.session_id)
    if session is None:
        return missing("session", command.session_id)
    if session.project_id != own.project_id:
        return invalid(
            "other_project",
            f"session {session.session_id} belongs to project {session.project_id}",
            hint=f"take a session of project {own.project_id}: mpctl session list",
        )
    if own.session_id == session.session_id:
        return []
    if session.status == "closed" and session.worktree_id is None:
        return closed(session, "has no branch")
    if own.is_merging():
        return invalid(
            "merge_under_way",
            f"the branch of task {own.task_id} is being merged",
            hint="try again when it is done",
        )
    waits = own.is_under_way() and awaits_person(session.session_id, world)
    until = parked_until(session.session_id, world) if own.is_under_way() else None
    return [
        TaskAssigned(task_id=own.task_id, session_id=session.session_id),
        *input_facts(own, waits=waits),
        *park_facts(own, until),
    ]


def _start(own: TaskState, world: World, context: Context) -> Decision:
    if own.phase == "running":
        return []
    if own.phase == "paused":
        return invalid(
            "task_paused", f"task {own.task_id} is paused", hint=f"mpctl task resume {own.task_id}"
        )
    return begin_attempt(own, world, context)


def _fail(command: FailTask, own: TaskState, context: Context) -> Decision:
    if not own.is_under_way():
        return invalid(
            "task_not_running",
            f"task {own.task_id} is {own.status()}; there is no attempt to fail",
            hint=f"mpctl task cancel {own.task_id}",
            status=own.status(),
        )
    return failed_attempt(own, command.failure, reason=command.reason, context=context)


def _resume(own: TaskState, world: World) -> Decision:
    if own.phase != "paused":
        return []
    resumed = TaskResumed(task_id=own.task_id)
    if not own.is_under_way() or own.proposed is None or closed_gates(own, own.proposed, world):
        return [resumed]
    return [resumed, *moved(own, own.proposed)]


def _complete(own: TaskState) -> Decision:
    if own.phase != "running" or own.blocks:
        return invalid(
            "task_not_running",
            f"task {own.task_id} is {own.status()}",
            hint=f"mpctl task show {own.task_id}",
            status=own.status(),
        )
    if own.stage != own.stages[-1].name:
        return invalid(
            "stages_left",
            f"task {own.task_id} is in {own.stage}; its last stage is {own.stages[-1].name}",
            hint=f"mpctl task advance {own.task_id}",
        )
    if own.is_merging():
        return invalid(
            "merge_under_way",
            f"task {own.task_id} ends by itself when its branch is merged",
            hint=f"mpctl task show {own.task_id}",
        )
    return [TaskCompleted(task_id=own.task_id)]


def _retry(own: TaskState, world: World, context: Context) -> Decision:
    if own.phase != "failed":
        return [] if own.is_open() else (_closed(own) or [])
    return begin_attempt(own, world, context)


def _deadline(command: SetDeadline, own: TaskState, context: Context) -> Decision:
    if command.due_at == own.deadline:
        return []
    if command.due_at is not None:
        try:
            due = to_micros(command.due_at)
        except ValueError:
            return invalid(
                "no_such_time", f"{command.due_at} is no point in time", hint="such as 2026-11-30T18:00:00Z"
            )
        if due <= context.now:
            return invalid(
                "deadline_past",
                f"{command.due_at} has passed already",
                hint=f"a later one, or none: mpctl task deadline {own.task_id} none",
            )
    return [DeadlineSet(task_id=own.task_id, due_at=command.due_at)]


def _fire(command: FireRetry | FireDeadline, own: TaskState, *, world: World, context: Context) -> Decision:
    match command:
        case FireRetry():
            if own.phase != "queued" or own.retry_due is None or command.attempt != own.attempt + 1:
                return []
            return begin_attempt(own, world, context)
        case FireDeadline():
            if not own.is_open() or own.deadline != command.due_at:
                return []
            return [DeadlineMissed(task_id=own.task_id, due_at=command.due_at)]
        case _:
            assert_never(command)
