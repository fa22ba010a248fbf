"""A task's state.

(none) ── created ──→ queued ── started ──→ running ── completed ──→ succeeded
                        ↑                     │ │ └──── failed ────→ failed ── started ──→ running
                        └── retry_scheduled ──┘ │
                                                └ blocked ⇄ unblocked   (shown as awaiting_user_input, parked,
                                                                         blocked_by_approval, blocked_by_policy)
queued | running ── paused ──→ paused ── resumed ──→ queued | running
paused ── completed ──→ succeeded, paused ── failed ──→ failed, paused ── retry_scheduled ──→ paused
cancelled from every open state

A pause holds back what would begin. What is under way ends as it ends, and is noted:
a merge that was made completes the task, an attempt that failed has failed.
"""

from typing import ClassVar, Literal, TypeAlias, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import State
from moduprompt.domain.task.events import (
    AttemptFailed,
    BlockKind,
    DeadlineMissed,
    DeadlineSet,
    RetryScheduled,
    StageChanged,
    TaskAssigned,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFact,
    TaskFailed,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    TaskUnblocked,
)
from moduprompt.domain.task.retries import RetryBudget
from moduprompt.domain.task.stages import Stage, StageKind
from moduprompt.protocol import ProjectId, SessionId, TaskId

TaskPhase: TypeAlias = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
TaskStatus: TypeAlias = Literal[
    "queued",
    "running",
    "paused",
    "succeeded",
    "failed",
    "cancelled",
    "awaiting_user_input",
    "blocked_by_approval",
    "blocked_by_policy",
    "parked",
]
OPEN: frozenset[TaskPhase] = frozenset({"queued", "running", "paused"})
_BLOCKED: dict[BlockKind, TaskStatus] = {
    "approval": "blocked_by_approval",
    "policy": "blocked_by_policy",
    "rate_limit": "parked",
    "user_input": "awaiting_user_input",
}


class TaskState(State, frozen=True, kw_only=True):
    """What decisions need of a task."""

    index_by: ClassVar[str | None] = "session_id"

    task_id: TaskId
    project_id: ProjectId
    stages: tuple[Stage, ...]
    retry: RetryBudget
    phase: TaskPhase = "queued"
    paused_in: TaskPhase = "queued"
    stage: str | None = None
    proposed: str | None = None
    blocks: tuple[BlockKind, ...] = ()
    attempt: int = 0
    retry_due: str | None = None
    deadline: str | None = None
    session_id: SessionId | None = None
    resumes: int = 0
    carries_on: bool = False

    def status(self) -> TaskStatus:
        """What people are told: a block shows in the place of `running`."""
        if self.phase == "running" and self.blocks:
            return _BLOCKED[self.blocks[0]]
        return self.phase

    def is_open(self) -> bool:
        """Whether anything can still happen to it."""
        return self.phase in OPEN

    def is_under_way(self) -> bool:
        """Whether an attempt is being made: it runs, or was paused while it ran."""
        return (self.paused_in if self.phase == "paused" else self.phase) == "running"

    def is_merging(self) -> bool:
        """Whether its attempt stands in a stage that merges."""
        return self.is_under_way() and self.stage is not None and self.kind_of(self.stage) == "merge"

    def kind_of(self, stage: str) -> StageKind:
        """What is done in a stage of this task."""
        return self.stages[self.place_of(stage)].kind

    def place_of(self, stage: str | None) -> int:
        """Where a stage stands in the row; -1 for none."""
        if stage is not None:
            for place, each in enumerate(self.stages):
                if each.name == stage:
                    return place
        return -1


def evolve(own: TaskState | None, event: TaskFact) -> TaskState:
    """The state after a fact."""
    if isinstance(event, TaskCreated):
        return TaskState(
            task_id=event.task_id,
            project_id=event.project_id,
            stages=event.stages,
            retry=event.retry,
            carries_on=event.carry_on,
        )
    assert own is not None, "BUG: a task's first event is task.created"
    match event:
        case StageChanged():  # first, for it happens most
            return replace(own, stage=event.stage, proposed=None)
        case TaskAssigned():
            return replace(own, session_id=event.session_id)
        case TaskStarted():
            return replace(own, phase="running", attempt=event.attempt, retry_due=None)
        case TaskBlocked():
            return replace(own, blocks=_with(own.blocks, event.by), proposed=event.stage or own.proposed)
        case TaskUnblocked():
            proposed = None if event.by == "approval" else own.proposed
            return replace(own, blocks=_without(own.blocks, event.by), proposed=proposed)
        case DeadlineSet():
            return replace(own, deadline=event.due_at)
        case DeadlineMissed():
            return replace(own, deadline=None)
        case _:
            return _moved(own, event)


def _moved(
    own: TaskState,
    event: AttemptFailed
    | RetryScheduled
    | TaskCompleted
    | TaskFailed
    | TaskCancelled
    | TaskPaused
    | TaskResumed,
) -> TaskState:
    match event:
        case AttemptFailed():
            return replace(own, blocks=(), proposed=None)
        case RetryScheduled():
            held = own.phase == "paused"
            return replace(
                own,
                phase="paused" if held else "queued",
                paused_in="queued",
                retry_due=event.due_at,
            )
        case TaskCompleted():
            return replace(own, phase="succeeded", deadline=None, blocks=(), proposed=None)
        case TaskFailed():
            return replace(own, phase="failed", deadline=None, blocks=(), proposed=None)
        case TaskCancelled():
            return replace(own, phase="cancelled", deadline=None, retry_due=None, blocks=(), proposed=None)
        case TaskPaused():
            return replace(own, phase="paused", paused_in=own.phase)
        case TaskResumed():
            return replace(own, phase=own.paused_in, resumes=own.resumes + 1)
        case _:
            assert_never(event)


def _with(blocks: tuple[BlockKind, ...], by: BlockKind) -> tuple[BlockKind, ...]:
    return tuple(sorted({*blocks, by}))


def _without(blocks: tuple[BlockKind, ...], by: BlockKind) -> tuple[BlockKind, ...]:
    return tuple(each for each in blocks if each != by)
