"""The due times that stand in a task's state."""

from moduprompt.domain.decider import Timer
from moduprompt.domain.task.commands import FireDeadline, FireRetry
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import WorkspaceId, to_micros


def timers(own: TaskState, workspace_id: WorkspaceId) -> tuple[Timer, ...]:
    """What must be fired, and when; a stale firing decides nothing."""
    due: list[Timer] = []
    # Not while paused, and by another name after: a firing that came too early has used up its key.
    if own.phase == "queued" and own.retry_due is not None:
        due.append(
            Timer(
                name=f"{own.task_id}/retry/{own.attempt + 1}.{own.resumes}",
                due_at=to_micros(own.retry_due),
                command=FireRetry(workspace_id=workspace_id, task_id=own.task_id, attempt=own.attempt + 1),
            )
        )
    if own.deadline is not None:
        due.append(
            Timer(
                name=f"{own.task_id}/deadline/{own.deadline}",
                due_at=to_micros(own.deadline),
                command=FireDeadline(workspace_id=workspace_id, task_id=own.task_id, due_at=own.deadline),
            )
        )
    return tuple(due)
