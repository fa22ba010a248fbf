"""What follows for worktrees from facts about sessions, and for sessions from a worktree."""

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.session.events import SessionForked, SessionSpawned, SessionWorktreeAttached
from moduprompt.domain.worktree.events import WorktreeCreated, WorktreeRequested, WriterLocked
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import WorktreeId


def react(event: Event, world: World, context: Context) -> list[Event]:
    """A session that wants a place gets one; a place that is there is taken."""
    if isinstance(event, SessionSpawned | SessionForked):
        return _request(event, world, context)
    if isinstance(event, WorktreeCreated):
        return _hand_over(event, world)
    return []


def _request(event: SessionSpawned | SessionForked, world: World, context: Context) -> list[Event]:
    project = world.find(ProjectState, event.project_id)
    main = project.main_repository() if project else None
    if event.place == "none" or event.branch is None or main is None:
        return []
    return [
        WorktreeRequested(
            worktree_id=context.mint(WorktreeId),
            project_id=event.project_id,
            repository=main.path,
            branch=event.branch,
            base=event.base or main.branch,
            session_id=event.session_id,
        )
    ]


def _hand_over(event: WorktreeCreated, world: World) -> list[Event]:
    own = world.find(WorktreeState, event.worktree_id)
    assert own is not None, "BUG: a reaction sees the state after its event"
    if own.session_id is None:
        return []
    return [
        WriterLocked(worktree_id=own.worktree_id, session_id=own.session_id, fence=own.fence + 1),
        SessionWorktreeAttached(session_id=own.session_id, worktree_id=own.worktree_id),
    ]
