"""Facts about tasks."""

from typing import ClassVar, Literal, TypeAlias

from moduprompt.domain.decider import Event
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.task.retries import RetryBudget
from moduprompt.domain.task.stages import Stage
from moduprompt.protocol import Count, GateId, Id, Name, ProjectId, Reason, SessionId, TaskId, TextRef

BlockKind: TypeAlias = Literal["approval", "policy", "rate_limit", "user_input"]


class TaskEvent(Event, frozen=True, kw_only=True):
    """A fact about one task."""

    kind: ClassVar[str] = "task"
    key: ClassVar[str] = "task_id"

    task_id: Id[TaskId]


class TaskCreated(TaskEvent, frozen=True, kw_only=True):
    """It exists; its stages and gates are pinned. `carry_on`: another attempt carries the conversation on."""

    wire: ClassVar[str] = "task.created"

    project_id: Id[ProjectId]
    title: Name
    stages: tuple[Stage, ...]
    retry: RetryBudget
    priority: Count
    description: TextRef | None = None
    carry_on: bool = False


class TaskAssigned(TaskEvent, frozen=True, kw_only=True):
    """This session's branch is its result."""

    wire: ClassVar[str] = "task.assigned"

    session_id: Id[SessionId]


class TaskStarted(TaskEvent, frozen=True, kw_only=True):
    """An attempt runs."""

    wire: ClassVar[str] = "task.started"

    attempt: Count


class StageChanged(TaskEvent, frozen=True, kw_only=True):
    """It stands in this stage now."""

    wire: ClassVar[str] = "task.stage_changed"

    stage: str
    before: str | None = None


class TaskBlocked(TaskEvent, frozen=True, kw_only=True):
    """It can't go on: `gate_ids` hold the way to `stage`, or its agent waits for a person, or for a window
    of its service, until then."""

    wire: ClassVar[str] = "task.blocked"

    by: BlockKind
    stage: str | None = None
    gate_ids: tuple[Id[GateId], ...] = ()
    until: str | None = None


class TaskUnblocked(TaskEvent, frozen=True, kw_only=True):
    """What held it does so no more."""

    wire: ClassVar[str] = "task.unblocked"

    by: BlockKind


class AttemptFailed(TaskEvent, frozen=True, kw_only=True):
    """This attempt is over."""

    wire: ClassVar[str] = "task.attempt_failed"

    attempt: Count
    failure: FailureClass
    reason: Reason


class RetryScheduled(TaskEvent, frozen=True, kw_only=True):
    """The next attempt starts then; the time was drawn once and stands."""

    wire: ClassVar[str] = "task.retry_scheduled"

    attempt: Count
    due_at: str


class TaskCompleted(TaskEvent, frozen=True, kw_only=True):
    """Done."""

    wire: ClassVar[str] = "task.completed"


class TaskFailed(TaskEvent, frozen=True, kw_only=True):
    """No attempt is left, or none can help."""

    wire: ClassVar[str] = "task.failed"

    failure: FailureClass
    reason: Reason


class TaskCancelled(TaskEvent, frozen=True, kw_only=True):
    """Given up."""

    wire: ClassVar[str] = "task.cancelled"

    reason: Reason | None = None


class TaskPaused(TaskEvent, frozen=True, kw_only=True):
    """Held."""

    wire: ClassVar[str] = "task.paused"


class TaskResumed(TaskEvent, frozen=True, kw_only=True):
    """Going on."""

    wire: ClassVar[str] = "task.resumed"


class DeadlineSet(TaskEvent, frozen=True, kw_only=True):
    """Until then, or for as long as it takes."""

    wire: ClassVar[str] = "task.deadline_set"

    due_at: str | None = None


class DeadlineMissed(TaskEvent, frozen=True, kw_only=True):
    """Then came, and it was not done."""

    wire: ClassVar[str] = "task.deadline_missed"

    due_at: str


TaskFact: TypeAlias = (
    TaskCreated
    | TaskAssigned
    | TaskStarted
    | StageChanged
    | TaskBlocked
    | TaskUnblocked
    | AttemptFailed
    | RetryScheduled
    | TaskCompleted
    | TaskFailed
    | TaskCancelled
    | TaskPaused
    | TaskResumed
    | DeadlineSet
    | DeadlineMissed
)
