"""A task's merge: which branch it brings in, whether that is under way, and whose tasks hear how it went.

A worktree's branch is the result of whoever works there now. Who it was made for counts while they work
nowhere else: before it is there, and after they have left it.
"""

from collections.abc import Iterator

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


def tasks_of(tree: WorktreeState, world: World) -> Iterator[TaskState]:
    """Every task whose result this worktree's branch is, each once."""
    for session in world.every(SessionState):
        is_makers = session.worktree_id is None and session.session_id == tree.session_id
        if is_makers or session.worktree_id == tree.worktree_id:
            yield from world.related(TaskState, session.session_id)
