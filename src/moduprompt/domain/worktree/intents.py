"""What a worktree needs done by git."""

from moduprompt.domain.decider import Intent, World
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import WorktreeId


class WorktreeIntent(Intent, frozen=True, kw_only=True):
    """Something to do in, to or with one worktree."""

    worktree_id: WorktreeId
    repository: str
    branch: str


class MakeWorktree(WorktreeIntent, frozen=True, kw_only=True):
    """`git worktree add` on a new branch, or where it is shared beside one; `work_of` is the path of the worktree whose
    uncommitted work comes along."""

    base: str
    work_of: str | None = None
    is_shared: bool = False


class MakeCommit(WorktreeIntent, frozen=True, kw_only=True):
    """Commit what lies there."""

    path: str
    since: str
    message: str
    generation: int
    author: str
    is_shared: bool = False


class SettleBranch(WorktreeIntent, frozen=True, kw_only=True):
    """Bring the worktree and its shared branch together, whichever of them is behind."""

    path: str
    generation: int


class MakeMerge(WorktreeIntent, frozen=True, kw_only=True):
    """Merge the branch into another one of the same repository. `path` is where it was worked on."""

    path: str | None = None
    into: str
    generation: int


class RemoveWorktree(WorktreeIntent, frozen=True, kw_only=True):
    """Save what is unsaved, then remove."""

    path: str
    into: str


def intents(own: WorktreeState, world: World) -> tuple[Intent, ...]:
    """What is wanted and not known to be done."""
    if own.status == "requested":
        return (
            MakeWorktree(
                name=f"worktree/{own.worktree_id}/create",
                workspace_id=world.workspace_id,
                worktree_id=own.worktree_id,
                repository=own.repository,
                branch=own.branch,
                base=own.base,
                work_of=_path_of(own.work_of, world),
                is_shared=own.is_shared,
            ),
        )
    if own.path is None or own.head is None:
        return ()
    if own.status == "deleting":
        return (
            RemoveWorktree(
                name=f"worktree/{own.worktree_id}/delete/{own.delete_generation}",
                workspace_id=world.workspace_id,
                worktree_id=own.worktree_id,
                repository=own.repository,
                branch=own.branch,
                path=own.path,
                into=own.base,
            ),
        )
    # One after the other: what is being committed is meant to be on the branch, and that to be merged.
    return _commit(own, world) or _settle(own, world) or _merge(own, world)


def _path_of(worktree_id: WorktreeId | None, world: World) -> str | None:
    tree = world.find(WorktreeState, worktree_id) if worktree_id else None
    return tree.path if tree else None


def _commit(own: WorktreeState, world: World) -> tuple[Intent, ...]:
    if own.commit_message is None or own.path is None or own.head is None:
        return ()
    session = world.find(SessionState, own.session_id) if own.session_id else None
    return (
        MakeCommit(
            name=f"worktree/{own.worktree_id}/commit/{own.commit_generation}",
            workspace_id=world.workspace_id,
            worktree_id=own.worktree_id,
            repository=own.repository,
            branch=own.branch,
            path=own.path,
            since=own.head,
            message=own.commit_message,
            generation=own.commit_generation,
            author=session.name if session else "moduprompt",
            is_shared=own.is_shared,
        ),
    )


def _settle(own: WorktreeState, world: World) -> tuple[Intent, ...]:
    if not own.is_settling or own.path is None:
        return ()
    return (
        SettleBranch(
            name=f"worktree/{own.worktree_id}/settle/{own.settle_generation}",
            workspace_id=world.workspace_id,
            worktree_id=own.worktree_id,
            repository=own.repository,
            branch=own.branch,
            path=own.path,
            generation=own.settle_generation,
        ),
    )


def _merge(own: WorktreeState, world: World) -> tuple[Intent, ...]:
    if own.merge_into is None:
        return ()
    return (
        MakeMerge(
            name=f"worktree/{own.worktree_id}/merge/{own.merge_generation}",
            workspace_id=world.workspace_id,
            worktree_id=own.worktree_id,
            repository=own.repository,
            branch=own.branch,
            path=own.path,
            into=own.merge_into,
            generation=own.merge_generation,
        ),
    )
