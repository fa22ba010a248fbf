"""Facts about worktrees."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Event
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.worktree.commands import Operation
from moduprompt.protocol import Count, Id, Name, ProjectId, Reason, SessionId, WorktreeId


class WorktreeEvent(Event, frozen=True, kw_only=True):
    """A fact about one worktree."""

    kind: ClassVar[str] = "worktree"
    key: ClassVar[str] = "worktree_id"

    worktree_id: Id[WorktreeId]


class WorktreeRequested(WorktreeEvent, frozen=True, kw_only=True):
    """It shall be made: `branch` from `base`, for a session or for nobody yet.

    `work_of`: the worktree whose uncommitted work is to lie in it too. `is_shared`: the branch is there already and
    another worktree's as well; this one stands on its commit, and the kernel moves the branch.
    """

    wire: ClassVar[str] = "worktree.requested"

    project_id: Id[ProjectId]
    repository: str
    branch: str
    base: str
    session_id: Id[SessionId] | None = None
    work_of: Id[WorktreeId] | None = None
    is_shared: bool = False


class WorktreeCreated(WorktreeEvent, frozen=True, kw_only=True):
    """It lies on disk."""

    wire: ClassVar[str] = "worktree.created"

    path: str
    head: str


class WriterLocked(WorktreeEvent, frozen=True, kw_only=True):
    """One session may write. A lease with a smaller fence is worth nothing from now on."""

    wire: ClassVar[str] = "worktree.writer_locked"

    session_id: Id[SessionId]
    fence: Count


class WriterReleased(WorktreeEvent, frozen=True, kw_only=True):
    """Nobody holds the lease."""

    wire: ClassVar[str] = "worktree.writer_released"

    fence: Count


class CommitRequested(WorktreeEvent, frozen=True, kw_only=True):
    """What lies there shall be committed."""

    wire: ClassVar[str] = "worktree.commit_requested"

    generation: Count
    message: Name


class WorktreeCommitted(WorktreeEvent, frozen=True, kw_only=True):
    """The branch stands at `head`; `commits` came since the last time, oldest first."""

    wire: ClassVar[str] = "worktree.committed"

    generation: Count
    head: str
    commits: tuple[str, ...]
    files_changed: Count


class SettleRequested(WorktreeEvent, frozen=True, kw_only=True):
    """It and its branch shall stand at the same commit again, forwards only; `releases`: then the lease ends."""

    wire: ClassVar[str] = "worktree.settle_requested"

    generation: Count
    releases: bool = False


class WorktreeSettled(WorktreeEvent, frozen=True, kw_only=True):
    """It and its branch stand at `head`."""

    wire: ClassVar[str] = "worktree.settled"

    generation: Count
    head: str


class MergeRequested(WorktreeEvent, frozen=True, kw_only=True):
    """Its branch shall be merged into the project's."""

    wire: ClassVar[str] = "worktree.merge_requested"

    generation: Count
    into: str


class WorktreeMerged(WorktreeEvent, frozen=True, kw_only=True):
    """The project's branch holds it: by a merge, or `brought_nothing`, at a commit that it stood at itself."""

    wire: ClassVar[str] = "worktree.merged"

    generation: Count
    commit: str
    into: str
    brought_nothing: bool = False


class DeleteRequested(WorktreeEvent, frozen=True, kw_only=True):
    """It shall go from disk."""

    wire: ClassVar[str] = "worktree.delete_requested"


class WorktreeSalvaged(WorktreeEvent, frozen=True, kw_only=True):
    """Unsaved work was kept under this ref before anything was removed."""

    wire: ClassVar[str] = "worktree.salvaged"

    ref: str


class WorktreeDeleted(WorktreeEvent, frozen=True, kw_only=True):
    """It is gone from disk."""

    wire: ClassVar[str] = "worktree.deleted"


class WorktreeFailed(WorktreeEvent, frozen=True, kw_only=True):
    """An operation could not be done; the worktree is as it was before."""

    wire: ClassVar[str] = "worktree.failed"

    operation: Operation
    failure: FailureClass
    reason: Reason


WorktreeFact: TypeAlias = (
    WorktreeRequested
    | WorktreeCreated
    | WriterLocked
    | WriterReleased
    | CommitRequested
    | WorktreeCommitted
    | SettleRequested
    | WorktreeSettled
    | MergeRequested
    | WorktreeMerged
    | DeleteRequested
    | WorktreeSalvaged
    | WorktreeDeleted
    | WorktreeFailed
)
