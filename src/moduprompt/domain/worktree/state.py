"""A worktree's state.

(none) ── requested ──→ requested ── created ──→ ready ── delete_requested ──→ deleting
                            └─ failed ──→ failed            ↑                     │ │
                                                            └─────── failed ──────┘ └─ deleted ──→ deleted

While ready, at most one commit, one settling and one merge are under way; each has a generation. A worktree
is not deleted while any is, and they go in this order. The writer's lease is held while ready only, and ends
with the run that writes; where the branch is shared, when the two are settled (`sharing.py`).
"""

from typing import ClassVar, Literal, TypeAlias, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import State
from moduprompt.domain.worktree.events import (
    CommitRequested,
    DeleteRequested,
    MergeRequested,
    SettleRequested,
    WorktreeCommitted,
    WorktreeCreated,
    WorktreeDeleted,
    WorktreeFact,
    WorktreeFailed,
    WorktreeMerged,
    WorktreeRequested,
    WorktreeSalvaged,
    WorktreeSettled,
    WriterLocked,
    WriterReleased,
)
from moduprompt.protocol import ProjectId, SessionId, WorktreeId

WorktreeStatus: TypeAlias = Literal["requested", "ready", "failed", "deleting", "deleted"]


class WorktreeState(State, frozen=True, kw_only=True):
    """What decisions need of a worktree. A pending message or target is work under way.

    `is_shared`: others stand on its branch, too; `is_releasing`: the lease ends when it is settled.
    """

    index_by: ClassVar[str | None] = "branch"

    worktree_id: WorktreeId
    project_id: ProjectId
    repository: str
    branch: str
    base: str
    session_id: SessionId | None
    work_of: WorktreeId | None = None
    is_shared: bool = False
    path: str | None = None
    head: str | None = None
    status: WorktreeStatus = "requested"
    writer: SessionId | None = None
    fence: int = 0
    commit_generation: int = 0
    commit_message: str | None = None
    settle_generation: int = 0
    is_settling: bool = False
    is_releasing: bool = False
    merge_generation: int = 0
    merge_into: str | None = None
    delete_generation: int = 0


def evolve(own: WorktreeState | None, event: WorktreeFact) -> WorktreeState:
    """The state after a fact."""
    if isinstance(event, WorktreeRequested):
        return WorktreeState(
            worktree_id=event.worktree_id,
            project_id=event.project_id,
            repository=event.repository,
            branch=event.branch,
            base=event.base,
            session_id=event.session_id,
            work_of=event.work_of,
            is_shared=event.is_shared,
        )
    assert own is not None, "BUG: a worktree's first event is worktree.requested"
    match event:
        case WorktreeCreated():
            return replace(own, status="ready", path=event.path, head=event.head)
        case WriterLocked():
            return replace(own, writer=event.session_id, fence=event.fence)
        case WriterReleased():
            return replace(own, writer=None, is_releasing=False)
        case CommitRequested():
            return replace(own, commit_generation=event.generation, commit_message=event.message)
        case WorktreeCommitted():
            return replace(own, head=event.head, commit_message=None)
        case SettleRequested():
            releasing = own.is_releasing or event.releases
            return replace(own, settle_generation=event.generation, is_settling=True, is_releasing=releasing)
        case WorktreeSettled():
            return replace(own, is_settling=False)
        case MergeRequested():
            return replace(own, merge_generation=event.generation, merge_into=event.into)
        case WorktreeMerged():
            return replace(own, merge_into=None)
        case DeleteRequested():
            return replace(own, status="deleting", delete_generation=own.delete_generation + 1)
        case WorktreeSalvaged():
            return own
        case WorktreeDeleted():
            return replace(own, status="deleted", writer=None)
        case WorktreeFailed():
            return _failed(own, event)
        case _:
            assert_never(event)


def _failed(own: WorktreeState, event: WorktreeFailed) -> WorktreeState:
    if event.operation == "create":
        return replace(own, status="failed")
    if event.operation == "commit":
        return replace(own, commit_message=None)
    if event.operation == "settle":
        return replace(own, is_settling=False)
    if event.operation == "merge":
        return replace(own, merge_into=None)
    return replace(own, status="ready")
