"""One writer for a branch: who holds it, how the lease is taken and given back where several worktrees stand on it.

Git lets a branch be checked out once. Whoever forked a session on its own branch stands detached on the branch's
commit, and the kernel moves the branch: before a run begins and after it has ended the worktree and the branch are
*settled*, that is brought to the same commit by moving the one that is behind, forwards only. The lease covers the
branch, not the one worktree, and ends after the settling: so nobody else has begun on the old commit.
"""

from moduprompt.domain.decider import Event, World
from moduprompt.domain.worktree.events import SettleRequested, WriterLocked, WriterReleased
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import Rejection, SessionId, invalid


def holder(own: WorktreeState, world: World) -> WorktreeState | None:
    """The other worktree on the same branch in which somebody writes, or which is being settled."""
    return next(
        (
            each
            for each in world.related(WorktreeState, own.branch)
            if each.worktree_id != own.worktree_id
            and each.repository == own.repository
            and (each.writer is not None or each.is_settling)
        ),
        None,
    )


def locked_for(own: WorktreeState, session_id: SessionId, world: World) -> Rejection | None:
    """Why this session may not write there now; None where nobody else does."""
    if own.writer not in (None, session_id):
        return invalid(
            "writer_locked",
            f"worktree {own.worktree_id} is being written by session {own.writer}",
            hint=f"mpctl session show {own.writer}",
            writer=own.writer,
        )
    other = holder(own, world)
    if other is None:
        return None
    if other.writer is None:
        return invalid(
            "branch_locked",
            f"worktree {other.worktree_id} is being settled with the branch {own.branch}",
            hint="try again when it is done",
            worktree_id=other.worktree_id,
        )
    return invalid(
        "branch_locked",
        f"the branch {own.branch} is being written by session {other.writer} in worktree {other.worktree_id}",
        hint=f"mpctl session show {other.writer}",
        writer=other.writer,
        worktree_id=other.worktree_id,
    )


def take_lease(own: WorktreeState, session_id: SessionId) -> list[Event]:
    """The lease is this session's. Nobody may hold it; what others have put on the branch comes along."""
    locked = WriterLocked(worktree_id=own.worktree_id, session_id=session_id, fence=own.fence + 1)
    return [locked, *([settle_request(own)] if own.is_shared else [])]


def give_back(own: WorktreeState) -> list[Event]:
    """The lease ends: at once, or where the branch is shared when what was committed lies on it."""
    if own.writer is None or (own.is_releasing and own.is_settling):
        return []
    if own.is_shared and not own.is_releasing:
        return [settle_request(own, releases=True)]
    return [WriterReleased(worktree_id=own.worktree_id, fence=own.fence)]


def settle_request(own: WorktreeState, *, releases: bool = False) -> SettleRequested:
    """The next settling. One that is under way is begun anew, and its report decides nothing."""
    generation = own.settle_generation + 1
    return SettleRequested(worktree_id=own.worktree_id, generation=generation, releases=releases)
