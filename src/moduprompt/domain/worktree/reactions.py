"""What follows for worktrees from facts about sessions, and for sessions from a worktree.

A session that wants a place gets one or is closed: one that waits for ever helps nobody.
The lease goes to sessions that are open only, so that it always has an end. On a shared branch that is when the two
are settled, or it is known that they can't be: what could not be brought together stays where it is, and is named.
"""

from typing import TypeAlias, assert_never

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.session.budgets import spent_out
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
    WorktreeCommitted,
    WorktreeCreated,
    WorktreeDeleted,
    WorktreeFailed,
    WorktreeRequested,
    WorktreeSettled,
    WriterLocked,
    WriterReleased,
)
from moduprompt.domain.worktree.sharing import holder, settle_request
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import REASON_MAX, WorktreeId

Heard: TypeAlias = (
    SessionSpawned
    | SessionForked
    | WorktreeCreated
    | WorktreeCommitted
    | WorktreeSettled
    | WorktreeFailed
    | WorktreeDeleted
    | WorkspaceAdopted
)


def react(event: Heard, world: World, context: Context) -> list[Event]:
    """A place is asked for, taken, given up, or could not be had."""
    match event:
        case SessionSpawned() | SessionForked():
            return _request(event, world, context)
        case WorktreeCreated():
            return _hand_over(event, world)
        case WorktreeFailed():
            if event.operation == "settle":
                return _released(event, world)
            return _give_up(event, world) if event.operation == "create" else []
        case WorktreeCommitted():
            return _to_branch(event, world)
        case WorktreeSettled():
            return _released(event, world)
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
            settling: tuple[Operation, ...] = ("settle",) if tree.is_settling else ()
            merging: tuple[Operation, ...] = () if tree.merge_into is None else ("merge",)
            return (*committing, *settling, *merging)
        case _:
            return ()


def _request(event: SessionSpawned | SessionForked, world: World, context: Context) -> list[Event]:
    project = world.find(ProjectState, event.project_id)
    main = project.main_repository() if project else None
    if event.place == "none" or event.branch is None or main is None:
        return []
    source = _tree_of_original(event, world)
    is_shared = isinstance(event, SessionForked) and event.mode == "same_branch"
    takes_work = isinstance(event, SessionForked) and event.dirty
    return [
        WorktreeRequested(
            worktree_id=context.mint(WorktreeId),
            project_id=event.project_id,
            # A branch that is shared lies where it lies, whatever the project's repository is by now.
            repository=source.repository if is_shared and source else main.path,
            branch=event.branch,
            base=event.base or main.branch,
            session_id=event.session_id,
            work_of=source.worktree_id if takes_work and source else None,
            is_shared=is_shared,
        )
    ]


def _tree_of_original(event: SessionSpawned | SessionForked, world: World) -> WorktreeState | None:
    original = world.find(SessionState, event.fork_of) if isinstance(event, SessionForked) else None
    worktree_id = original.worktree_id if original else None
    return world.find(WorktreeState, worktree_id) if worktree_id else None


def _hand_over(event: WorktreeCreated, world: World) -> list[Event]:
    own = _own(event.worktree_id, world)
    session = _session_of(own, world)
    if session is None:
        return []
    attached = SessionWorktreeAttached(session_id=session.session_id, worktree_id=own.worktree_id)
    if not _may_write(session, own, world):
        return [attached]
    locked = WriterLocked(worktree_id=own.worktree_id, session_id=session.session_id, fence=own.fence + 1)
    return [locked, attached]


def _may_write(session: SessionState, own: WorktreeState, world: World) -> bool:
    """Whether its run begins now: a lease that no run holds would have no end."""
    return session.status == "open" and holder(own, world) is None and spent_out(session, world) is None


def _to_branch(event: WorktreeCommitted, world: World) -> list[Event]:
    """What was committed beside a shared branch goes onto it, where nobody else writes there now."""
    own = _own(event.worktree_id, world)
    if not own.is_shared or own.is_settling or holder(own, world) is not None:
        return []
    return [settle_request(own)]


def _released(event: WorktreeSettled | WorktreeFailed, world: World) -> list[Event]:
    own = _own(event.worktree_id, world)
    if not own.is_releasing or own.writer is None:
        return []
    return [WriterReleased(worktree_id=own.worktree_id, fence=own.fence)]


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
