"""A task's merge: which branch it brings in, and whether that is under way."""

from moduprompt.domain.decider import World
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.state import WorktreeState


def tree_of(own: TaskState, world: World) -> WorktreeState | None:
    """The worktree whose branch is its result."""
    session = world.find(SessionState, own.session_id) if own.session_id else None
    return world.find(WorktreeState, session.worktree_id) if session and session.worktree_id else None


def is_being_merged(own: TaskState, world: World) -> bool:
    """Whether git is at it now: the task stands in a stage that merges, and no answer has come yet."""
    tree = tree_of(own, world) if own.is_merging() else None
    return tree is not None and tree.merge_into is not None
