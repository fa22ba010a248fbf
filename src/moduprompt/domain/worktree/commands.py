"""Orders about worktrees."""

from typing import ClassVar, Literal, TypeAlias

from moduprompt.domain.decider import Command
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.session.commands import BranchName
from moduprompt.policy.rights import Right
from moduprompt.protocol import Count, Id, Name, ProjectId, Reason, SessionId, WorktreeId

Operation: TypeAlias = Literal["create", "commit", "settle", "merge", "delete"]


class WorktreeOrder(Command, frozen=True, kw_only=True):
    """An order to one worktree."""

    kind: ClassVar[str] = "worktree"
    key: ClassVar[str | None] = "worktree_id"

    worktree_id: Id[WorktreeId]


class WorktreeReport(WorktreeOrder, frozen=True, kw_only=True):
    """What a hand found or did. Kernel only."""

    internal: ClassVar[bool] = True


class CreateWorktree(Command, frozen=True, kw_only=True):
    """Make a worktree on a new branch that nobody works in yet."""

    wire: ClassVar[str] = "worktree.create"
    kind: ClassVar[str] = "worktree"

    project_id: Id[ProjectId]
    branch: BranchName
    base: BranchName | None = None


class DeleteWorktree(WorktreeOrder, frozen=True, kw_only=True):
    """Remove it from disk; what is neither committed nor merged is saved first."""

    wire: ClassVar[str] = "worktree.delete"


class AcquireWriter(WorktreeOrder, frozen=True, kw_only=True):
    """Take the writer's lease for a session."""

    wire: ClassVar[str] = "worktree.acquire_writer"

    session_id: Id[SessionId]


class ReleaseWriter(WorktreeOrder, frozen=True, kw_only=True):
    """Give the writer's lease back; `fence` is the one it was given with."""

    wire: ClassVar[str] = "worktree.release_writer"

    fence: Count


class CommitWorktree(WorktreeOrder, frozen=True, kw_only=True):
    """Commit what lies there, and take note of what was committed since the last time."""

    wire: ClassVar[str] = "worktree.commit"
    right: ClassVar[Right | None] = Right.COMMIT

    message: Name


class MergeWorktree(WorktreeOrder, frozen=True, kw_only=True):
    """Merge its branch into the project's."""

    wire: ClassVar[str] = "worktree.merge"


class ReportCreated(WorktreeReport, frozen=True, kw_only=True):
    """It lies on disk."""

    wire: ClassVar[str] = "worktree.report_created"

    path: str
    head: str


class ReportCommitted(WorktreeReport, frozen=True, kw_only=True):
    """The branch stands here now; `commits` are the new ones, oldest first."""

    wire: ClassVar[str] = "worktree.report_committed"

    generation: Count
    head: str
    commits: tuple[str, ...]
    files_changed: Count


class ReportSettled(WorktreeReport, frozen=True, kw_only=True):
    """Its branch and what lies there stand at the same commit now."""

    wire: ClassVar[str] = "worktree.report_settled"

    generation: Count
    head: str


class ReportMerged(WorktreeReport, frozen=True, kw_only=True):
    """The project's branch holds it: by a merge, or `brought_nothing`, at a commit that it stood at itself."""

    wire: ClassVar[str] = "worktree.report_merged"
    later: ClassVar[frozenset[str]] = frozenset({"brought_nothing"})

    generation: Count
    commit: str
    into: str
    brought_nothing: bool = False


class ReportDeleted(WorktreeReport, frozen=True, kw_only=True):
    """It is gone from disk."""

    wire: ClassVar[str] = "worktree.report_deleted"

    salvage_ref: str | None = None


class ReportFailed(WorktreeReport, frozen=True, kw_only=True):
    """A hand could not do what was wanted. `generation` says which commit, settling or merge it was."""

    wire: ClassVar[str] = "worktree.report_failed"

    operation: Operation
    generation: Count | None = None
    failure: FailureClass
    reason: Reason


WorktreeCommand: TypeAlias = (
    CreateWorktree
    | DeleteWorktree
    | AcquireWriter
    | ReleaseWriter
    | CommitWorktree
    | MergeWorktree
    | ReportCreated
    | ReportCommitted
    | ReportSettled
    | ReportMerged
    | ReportDeleted
    | ReportFailed
)
