"""One writer at a time: the lease, its fence, and that it always has an end."""

from __future__ import annotations

from moduprompt.domain.run.commands import ReportLost, StartRun
from moduprompt.domain.session.commands import CloseSession
from moduprompt.domain.worktree.commands import AcquireWriter, CreateWorktree, DeleteWorktree, ReleaseWriter
from moduprompt.domain.worktree.events import WriterLocked, WriterReleased
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.domain.worktree.view import WorktreeItem
from moduprompt.protocol import SessionId, WorktreeId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene, an_id
from tests.support.stories import (
    a_project,
    a_session,
    a_waiting_session,
    a_working_session,
    exited,
    its_run,
    its_tree,
    made,
)


def acquire(scene: Scene, tree: WorktreeId, session_id: SessionId) -> Outcome:
    return scene.when(AcquireWriter(workspace_id=WORKSPACE, worktree_id=tree, session_id=session_id))


def release(scene: Scene, tree: WorktreeId, fence: int) -> Outcome:
    return scene.when(ReleaseWriter(workspace_id=WORKSPACE, worktree_id=tree, fence=fence))


def close(scene: Scene, session_id: SessionId) -> Outcome:
    return scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))


def writer(scene: Scene, tree: WorktreeId) -> SessionId | None:
    return scene.state(WorktreeState, tree).writer


def idle(scene: Scene) -> tuple[SessionId, WorktreeId]:
    """A session whose run has ended, and its worktree that nobody writes."""
    session_id = a_session(scene)
    exited(scene, its_run(scene, session_id))
    return session_id, its_tree(scene, session_id)


def test_a_session_holds_the_lease_while_its_run_lives() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    tree = its_tree(scene, session_id)
    assert writer(scene, tree) == session_id
    assert exited(scene, its_run(scene, session_id)) == ["run.exited", "worktree.writer_released"]
    assert writer(scene, tree) is None


def test_a_lost_run_gives_the_lease_back() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    report = ReportLost(workspace_id=WORKSPACE, run_id=its_run(scene, session_id), evidence="no keeper")
    scene.when(report, actor=KERNEL).then_wires("run.lost", "worktree.writer_released")


def test_each_lease_has_a_greater_fence() -> None:
    scene = Scene()
    session_id, tree = idle(scene)
    acquire(scene, tree, session_id).then(WriterLocked(worktree_id=tree, session_id=session_id, fence=2))
    acquire(scene, tree, session_id).then_nothing()
    release(scene, tree, 2).then(WriterReleased(worktree_id=tree, fence=2))
    scene.when(StartRun(workspace_id=WORKSPACE, session_id=session_id))
    row = scene.row(WorktreeItem, tree)
    assert (row.writer, row.fence) == (session_id, 3)


def test_a_lease_is_given_back_by_its_own_fence_only() -> None:
    scene = Scene()
    session_id, tree = idle(scene)
    acquire(scene, tree, session_id)
    release(scene, tree, 1).refused("stale_fence")
    release(scene, tree, 2).then_wires("worktree.writer_released")
    release(scene, tree, 2).then_nothing()


def test_a_second_writer_is_refused() -> None:
    scene = Scene()
    project_id = a_project(scene)
    tree = its_tree(scene, a_session(scene, project_id))
    acquire(scene, tree, a_session(scene, project_id)).refused("writer_locked")


def test_a_lease_needs_a_worktree_that_is_there_and_an_open_session_of_its_project() -> None:
    scene = Scene()
    session_id, tree = idle(scene)
    acquire(scene, tree, SessionId(an_id(1))).refused("session", code="not_found")
    acquire(scene, tree, a_session(scene)).refused("other_project")
    close(scene, session_id)
    acquire(scene, tree, session_id).refused("session_closed")
    waiting = a_waiting_session(scene, a_project(scene))
    acquire(scene, its_tree(scene, waiting), waiting).refused("worktree_not_ready")


def test_a_worktree_is_not_deleted_under_its_writer() -> None:
    scene = Scene()
    tree = its_tree(scene, a_session(scene))
    scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=tree)).refused("writer_locked")


def test_a_lease_that_was_taken_without_a_run_ends_with_the_session_wherever_it_is() -> None:
    scene = Scene()
    session_id, tree = idle(scene)
    own = scene.state(WorktreeState, tree)
    command = CreateWorktree(workspace_id=WORKSPACE, project_id=own.project_id, branch="topic")
    other = WorktreeId(scene.when(command).subject())
    made(scene, other)
    acquire(scene, tree, session_id)
    acquire(scene, other, session_id)
    close(scene, session_id).then_wires(
        "session.closed", "worktree.writer_released", "worktree.writer_released"
    )


def test_closing_a_session_leaves_the_lease_to_its_run_until_that_has_ended() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    tree, run = its_tree(scene, session_id), its_run(scene, session_id)
    close(scene, session_id)
    assert writer(scene, tree) == session_id
    exited(scene, run)
    assert writer(scene, tree) is None


def test_a_session_that_closed_before_its_worktree_came_does_not_lock_it_for_ever() -> None:
    scene = Scene()
    session_id = a_waiting_session(scene, a_project(scene))
    tree = its_tree(scene, session_id)
    close(scene, session_id)
    made(scene, tree)
    assert writer(scene, tree) is None
    scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=tree)).then_wires(
        "worktree.delete_requested"
    )


def test_a_run_is_not_started_where_another_session_writes() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id, other = a_session(scene, project_id), a_session(scene, project_id)
    exited(scene, its_run(scene, session_id))
    acquire(scene, its_tree(scene, session_id), other)
    scene.when(StartRun(workspace_id=WORKSPACE, session_id=session_id)).refused("writer_locked")
