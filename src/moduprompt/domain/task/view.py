"""What people see of a task. Its status is the one its own state machine would give."""

import msgspec

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View, revised
from moduprompt.domain.task.events import (
    AttemptFailed,
    DeadlineSet,
    StageChanged,
    TaskAssigned,
    TaskBlocked,
    TaskCreated,
    TaskEvent,
    TaskFact,
    TaskFailed,
    TaskStarted,
)
from moduprompt.domain.task.state import TaskState, evolve


class StageItem(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a task's pipeline."""

    name: str
    kind: str
    gate_ids: tuple[str, ...]


class TaskItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/tasks`. `state` is what the status is folded from."""

    project_id: str
    title: str
    status: str
    priority: int
    stages: tuple[StageItem, ...]
    state: TaskState
    stage: str | None = None
    proposed: str | None = None
    waits_for: tuple[str, ...] = ()
    attempt: int = 0
    session_id: str | None = None
    description: str | None = None
    due_at: str | None = None
    retry_at: str | None = None
    parked_until: str | None = None
    failure: str | None = None


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, TaskCreated):
        state = evolve(None, event)
        rows.put(
            TaskItem(
                id=event.task_id,
                workspace_id=stamp.workspace_id,
                version=stamp.version,
                created_at=stamp.timestamp,
                updated_at=stamp.timestamp,
                project_id=event.project_id,
                title=event.title,
                status=state.status(),
                priority=event.priority,
                stages=tuple(StageItem(name=s.name, kind=s.kind, gate_ids=s.gate_ids) for s in event.stages),
                state=state,
                description=event.description.ref if event.description else None,
            )
        )
        return
    row = rows.get(TaskItem, event.task_id) if isinstance(event, TaskEvent) else None
    if row is None:
        return
    fact: TaskFact = event  # type: ignore[assignment]  # every TaskEvent is one of the union
    state = evolve(row.state, fact)
    changes = {"state": state, "status": state.status(), "proposed": state.proposed, **_changes(event)}
    changes["retry_at"] = state.retry_due
    if "approval" not in state.blocks:
        changes["waits_for"] = ()
    if "rate_limit" not in state.blocks:
        changes["parked_until"] = None
    rows.put(revised(row, stamp, **changes))


def _changes(event: Event) -> dict[str, object]:
    match event:
        case TaskAssigned():
            return {"session_id": event.session_id}
        case TaskStarted():
            return {"attempt": event.attempt, "failure": None}
        case StageChanged():
            return {"stage": event.stage}
        case TaskBlocked():
            changes: dict[str, object] = {"waits_for": event.gate_ids} if event.gate_ids else {}
            return changes | {"parked_until": event.until} if event.until else changes
        case AttemptFailed() | TaskFailed():
            return {"failure": f"{event.failure.value}: {event.reason}"}
        case DeadlineSet():
            return {"due_at": event.due_at}
        case _:
            return {}


VIEW = View(name="tasks", version=2, collections=(("tasks", TaskItem),), fold=fold, takes=(TaskEvent,))
