"""What follows for worktrees from facts about sessions, and for sessions from a worktree.

A session that wants a place gets one or is closed: one that waits for ever helps nobody.
The lease goes to sessions that are open only, so that it always has an end.
"""

from typing import TypeAlias, assert_never

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.session.events import (
    SessionClosed,
    SessionForked,
    SessionSpawned,
    SessionWorktreeAttached,
    SessionWorktreeDetached,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.workspace.events import WorkspaceAdopted
from moduprompt.domain.worktree.commands import Operation
from moduprompt.domain.worktree.events import (
    WorktreeCreated,
    WorktreeDeleted,
    WorktreeFailed,
    WorktreeRequested,
    WriterLocked,
)
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import REASON_MAX, WorktreeId

Heard: TypeAlias = (
    SessionSpawned | SessionForked | WorktreeCreated | WorktreeFailed | WorktreeDeleted | WorkspaceAdopted
)


def react(event: Heard, world: World, context: Context) -> list[Event]:
    """A place is asked for, taken, given up, or could not be had."""
    match event:
        case SessionSpawned() | SessionForked():
            return _request(event, world, context)
        case WorktreeCreated():
            return _hand_over(event, world)
        case WorktreeFailed():
            return _give_up(event, world) if event.operation == "create" else []
        case WorktreeDeleted():
            return _detach(event, world)
        case WorkspaceAdopted():
            return _left_behind(world)
        case _:
            assert_never(event)


def _left_behind(world: World) -> list[Event]:
    """What was under way elsewhere ends there: no path of another machine is touched on this one."""
    reason = "the workspace was adopted here before it was done"
    return [
        WorktreeFailed(
            worktree_id=tree.worktree_id, operation=operation, failure=FailureClass.LOST, reason=reason
        )
        for tree in world.every(WorktreeState)
        for operation in _under_way(tree)
    ]


def _under_way(tree: WorktreeState) -> tuple[Operation, ...]:
    match tree.status:
        case "requested":
            return ("create",)
        case "deleting":
            return ("delete",)
        case "ready":
            committing: tuple[Operation, ...] = () if tree.commit_message is None else ("commit",)
            return committing if tree.merge_into is None else (*committing, "merge")
        case _:
            return ()


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
            work_of=_work_of(event, world),
        )
    ]


def _work_of(event: SessionSpawned | SessionForked, world: World) -> WorktreeId | None:
    if not isinstance(event, SessionForked) or not event.dirty:
        return None
    original = world.find(SessionState, event.fork_of)
    return original.worktree_id if original else None


def _hand_over(event: WorktreeCreated, world: World) -> list[Event]:
    own = _own(event.worktree_id, world)
    session = _session_of(own, world)
    if session is None:
        return []
    attached = SessionWorktreeAttached(session_id=session.session_id, worktree_id=own.worktree_id)
    if session.status == "closed":
        return [attached]
    locked = WriterLocked(worktree_id=own.worktree_id, session_id=session.session_id, fence=own.fence + 1)
    return [locked, attached]


def _give_up(event: WorktreeFailed, world: World) -> list[Event]:
    session = _session_of(_own(event.worktree_id, world), world)
    if session is None or session.status == "closed":
        return []
    reason = f"its worktree could not be made: {event.reason}"
    return [SessionClosed(session_id=session.session_id, reason=reason[:REASON_MAX])]


def _detach(event: WorktreeDeleted, world: World) -> list[Event]:
    return [
        SessionWorktreeDetached(session_id=session.session_id, worktree_id=event.worktree_id)
        for session in world.every(SessionState)
        if session.worktree_id == event.worktree_id
    ]


def _own(worktree_id: WorktreeId, world: World) -> WorktreeState:
    own = world.find(WorktreeState, worktree_id)
    assert own is not None, "BUG: a reaction sees the state after its event"
    return own


def _session_of(own: WorktreeState, world: World) -> SessionState | None:
    return world.find(SessionState, own.session_id) if own.session_id else None
