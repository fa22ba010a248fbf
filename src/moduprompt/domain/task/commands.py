"""Orders about tasks."""

from typing import Annotated, ClassVar, TypeAlias

import msgspec

from moduprompt.domain.decider import Command
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.stages import DEFAULT_PIPELINE, STAGES_MAX, StageName, StageSpec
from moduprompt.policy.rights import Right
from moduprompt.protocol import Count, Id, Name, ProjectId, Reason, SessionId, TaskId, Text

Due: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$", max_length=27
    ),
]
"""A point in time: RFC 3339, UTC, microseconds."""


class CreateTask(Command, frozen=True, kw_only=True):
    """Make a task; it pins its stages and their gates for good.

    `carry_on`: another attempt carries the conversation of the last one on, where its program can.
    """

    wire: ClassVar[str] = "task.create"
    kind: ClassVar[str] = "task"
    text_field: ClassVar[str | None] = "description"
    later: ClassVar[frozenset[str]] = frozenset({"carry_on"})

    project_id: Id[ProjectId]
    title: Name
    description: Text | None = None
    stages: Annotated[tuple[StageSpec, ...], msgspec.Meta(min_length=1, max_length=STAGES_MAX)] = (
        DEFAULT_PIPELINE
    )
    retry: RetryRule = RetryRule()
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = 5
    carry_on: bool = False


class TaskOrder(Command, frozen=True, kw_only=True):
    """An order to one task."""

    kind: ClassVar[str] = "task"
    key: ClassVar[str | None] = "task_id"

    task_id: Id[TaskId]


class AssignTask(TaskOrder, frozen=True, kw_only=True):
    """Say whose branch is its result."""

    wire: ClassVar[str] = "task.assign"

    session_id: Id[SessionId]


class StartTask(TaskOrder, frozen=True, kw_only=True):
    """Begin the first attempt, in the first stage."""

    wire: ClassVar[str] = "task.start"


class AdvanceStage(TaskOrder, frozen=True, kw_only=True):
    """Propose the next stage, or the one named. The kernel moves it when the gates hold."""

    wire: ClassVar[str] = "task.advance_stage"
    right: ClassVar[Right | None] = Right.PROPOSE_STAGE

    to: StageName | None = None


class CompleteTask(TaskOrder, frozen=True, kw_only=True):
    """It is done; only from its last stage."""

    wire: ClassVar[str] = "task.complete"


class FailTask(TaskOrder, frozen=True, kw_only=True):
    """This attempt has failed; another one follows where the rule allows."""

    wire: ClassVar[str] = "task.fail"

    failure: FailureClass
    reason: Reason = ""


class CancelTask(TaskOrder, frozen=True, kw_only=True):
    """Give it up."""

    wire: ClassVar[str] = "task.cancel"

    reason: Reason | None = None


class RetryTask(TaskOrder, frozen=True, kw_only=True):
    """Open a failed task again."""

    wire: ClassVar[str] = "task.retry"


class PauseTask(TaskOrder, frozen=True, kw_only=True):
    """Hold it where it is."""

    wire: ClassVar[str] = "task.pause"


class ResumeTask(TaskOrder, frozen=True, kw_only=True):
    """Go on."""

    wire: ClassVar[str] = "task.resume"


class SetDeadline(TaskOrder, frozen=True, kw_only=True):
    """Say until when; None takes the deadline away."""

    wire: ClassVar[str] = "task.set_deadline"

    due_at: Due | None


class FireRetry(TaskOrder, frozen=True, kw_only=True):
    """The time of a scheduled retry has come. Kernel only."""

    wire: ClassVar[str] = "task.fire_retry"
    internal: ClassVar[bool] = True

    attempt: Count


class FireDeadline(TaskOrder, frozen=True, kw_only=True):
    """The deadline has passed. Kernel only."""

    wire: ClassVar[str] = "task.fire_deadline"
    internal: ClassVar[bool] = True

    due_at: Due


TaskCommand: TypeAlias = (
    CreateTask
    | AssignTask
    | StartTask
    | AdvanceStage
    | CompleteTask
    | FailTask
    | CancelTask
    | RetryTask
    | PauseTask
    | ResumeTask
    | SetDeadline
    | FireRetry
    | FireDeadline
)
