"""What people see of a worktree."""

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View, revised
from moduprompt.domain.worktree.events import (
    CommitRequested,
    DeleteRequested,
    MergeRequested,
    SettleRequested,
    WorktreeCommitted,
    WorktreeCreated,
    WorktreeDeleted,
    WorktreeEvent,
    WorktreeFailed,
    WorktreeMerged,
    WorktreeRequested,
    WorktreeSalvaged,
    WorktreeSettled,
    WriterLocked,
    WriterReleased,
)

COMMITS_SHOWN = 50  # the last ones; git has them all


class WorktreeItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/worktrees`. `is_shared`: others stand on its branch, too; `is_settling`: it is being brought to it."""

    project_id: str
    repository: str
    branch: str
    base: str
    status: str
    session_id: str | None = None
    path: str | None = None
    head: str | None = None
    writer: str | None = None
    fence: int = 0
    commits: tuple[str, ...] = ()
    is_committing: bool = False
    is_shared: bool = False
    is_settling: bool = False
    merged_as: str | None = None
    salvage_ref: str | None = None
    failure: str | None = None


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, WorktreeRequested):
        rows.put(
            WorktreeItem(
                id=event.worktree_id,
                workspace_id=stamp.workspace_id,
                version=stamp.version,
                created_at=stamp.timestamp,
                updated_at=stamp.timestamp,
                project_id=event.project_id,
                repository=event.repository,
                branch=event.branch,
                base=event.base,
                status="requested",
                session_id=event.session_id,
                is_shared=event.is_shared,
            )
        )
        return
    row = rows.get(WorktreeItem, event.worktree_id) if isinstance(event, WorktreeEvent) else None
    if row is not None:
        rows.put(revised(row, stamp, **_changes(row, event)))


def _changes(row: WorktreeItem, event: Event) -> dict[str, object]:
    match event:
        case WorktreeCreated():
            return {"status": "ready", "path": event.path, "head": event.head}
        case WriterLocked():
            return {"writer": event.session_id, "fence": event.fence}
        case WriterReleased():
            return {"writer": None}
        case WorktreeCommitted():
            commits = (*row.commits, *event.commits)[-COMMITS_SHOWN:]
            return {"head": event.head, "commits": commits, "is_committing": False}
        case CommitRequested():
            return {"failure": None, "is_committing": True}
        case SettleRequested():
            return {"is_settling": True}
        case WorktreeSettled():
            return {"head": event.head, "failure": None, "is_settling": False}
        case MergeRequested():
            return {"failure": None}
        case WorktreeMerged():  # what has no work of its own is not merged
            return {"merged_as": event.commit} if row.commits or not event.brought_nothing else {}
        case DeleteRequested():
            return {"status": "deleting", "failure": None}
        case WorktreeSalvaged():
            return {"salvage_ref": event.ref}
        case WorktreeDeleted():
            return {"status": "deleted", "writer": None}
        case WorktreeFailed():
            status = "failed" if event.operation == "create" else "ready"
            failure = f"{event.operation}: {event.reason}"
            return {
                "status": status,
                "failure": failure,
                "is_committing": row.is_committing and event.operation != "commit",
                "is_settling": row.is_settling and event.operation != "settle",
            }
        case _:
            return {}


VIEW = View(
    name="worktrees", version=2, collections=(("worktrees", WorktreeItem),), fold=fold, takes=(WorktreeEvent,)
)
