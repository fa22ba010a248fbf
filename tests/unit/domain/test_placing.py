"""A session is given a place and let go of it, never under a program that runs; closed, it leaves nothing."""

from __future__ import annotations

from moduprompt.domain.leaving import EraseHome, woken_by
from moduprompt.domain.run.commands import ReportStarted, StartRun
from moduprompt.domain.run.events import RunRequested, RunStarted
from moduprompt.domain.session.commands import (
    AttachWorktree,
    CloseSession,
    DetachWorktree,
    ForkSession,
    ReportHomeErased,
)
from moduprompt.domain.session.events import (
    SessionClosed,
    SessionForked,
    SessionHomeErased,
    SessionWorktreeAttached,
    SessionWorktreeDetached,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.worktree.commands import CreateWorktree, DeleteWorktree, ReportDeleted
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import ProjectId, SessionId, WorktreeId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
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


def attach(scene: Scene, session_id: SessionId, worktree_id: WorktreeId) -> Outcome:
    return scene.when(AttachWorktree(workspace_id=WORKSPACE, session_id=session_id, worktree_id=worktree_id))


def detach(scene: Scene, session_id: SessionId) -> Outcome:
    return scene.when(DetachWorktree(workspace_id=WORKSPACE, session_id=session_id))


def close(scene: Scene, session_id: SessionId) -> Outcome:
    return scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))


def a_free_tree(scene: Scene, project_id: ProjectId, branch: str = "free") -> WorktreeId:
    """A worktree that nobody works in."""
    tree_id = WorktreeId(
        scene.when(CreateWorktree(workspace_id=WORKSPACE, project_id=project_id, branch=branch)).subject()
    )
    made(scene, tree_id)
    return tree_id


def a_rested_session(scene: Scene, project_id: ProjectId) -> SessionId:
    session_id = a_working_session(scene, project_id)
    exited(scene, its_run(scene, session_id))
    return session_id


def erasing(scene: Scene) -> list[SessionId]:
    return [each.session_id for each in scene.intents() if isinstance(each, EraseHome)]


def test_a_session_goes_from_one_worktree_to_another_and_runs_there() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id, tree_id = a_rested_session(scene, project_id), a_free_tree(scene, project_id)

    detach(scene, session_id).then(
        SessionWorktreeDetached(session_id=session_id, worktree_id=its_tree(scene, session_id))
    )
    attach(scene, session_id, tree_id).then(
        SessionWorktreeAttached(session_id=session_id, worktree_id=tree_id, branch="free")
    )
    started = scene.when(StartRun(workspace_id=WORKSPACE, session_id=session_id))

    assert started.one(RunRequested).worktree_id == tree_id
    assert scene.state(WorktreeState, tree_id).writer == session_id


def test_nobody_is_moved_under_a_program_that_runs() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)

    detach(scene, session_id).refused("run_live")


def test_a_session_has_one_worktree_at_a_time() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_rested_session(scene, project_id)

    attach(scene, session_id, its_tree(scene, session_id)).then_nothing()
    attach(scene, session_id, a_free_tree(scene, project_id)).refused("worktree_attached")


def test_one_whose_worktree_is_on_its_way_waits_for_it() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_waiting_session(scene, project_id)

    attach(scene, session_id, a_free_tree(scene, project_id)).refused("worktree_coming")


def test_a_worktree_of_another_project_or_one_that_is_gone_is_no_place() -> None:
    scene = Scene()
    project_id, other_id = a_project(scene), a_project(scene)
    session_id = a_rested_session(scene, project_id)
    detach(scene, session_id)
    gone = a_free_tree(scene, project_id)
    scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=gone))

    attach(scene, session_id, a_free_tree(scene, other_id)).refused("other_project")
    attach(scene, session_id, gone).refused("worktree_not_ready")
    attach(scene, session_id, WorktreeId(session_id)).refused("worktree", code="not_found")


def test_of_two_in_one_worktree_one_writes() -> None:
    scene = Scene()
    project_id = a_project(scene)
    writer, reader = a_working_session(scene, project_id), a_rested_session(scene, project_id)
    detach(scene, reader)
    attach(scene, reader, its_tree(scene, writer))

    refused = scene.when(StartRun(workspace_id=WORKSPACE, session_id=reader)).refused("writer_locked")
    assert (refused.details or {})["writer"] == writer


def test_when_a_worktree_is_deleted_all_who_were_there_are_let_go() -> None:
    scene = Scene()
    project_id = a_project(scene)
    first, second = a_rested_session(scene, project_id), a_rested_session(scene, project_id)
    detach(scene, second)
    tree_id = its_tree(scene, first)
    attach(scene, second, tree_id)

    scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=tree_id))
    scene.when(ReportDeleted(workspace_id=WORKSPACE, worktree_id=tree_id), actor=KERNEL)

    assert [scene.state(SessionState, each).worktree_id for each in (first, second)] == [None, None]


def test_a_fork_begins_where_its_source_works_now() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id, tree_id = a_rested_session(scene, project_id), a_free_tree(scene, project_id, "elsewhere")
    detach(scene, session_id)
    attach(scene, session_id, tree_id)

    forked = scene.when(ForkSession(workspace_id=WORKSPACE, session_id=session_id, name="other"))

    assert forked.one(SessionForked).base == "elsewhere"


def test_a_closed_session_leaves_nothing_and_says_so_once() -> None:
    scene = Scene()
    session_id = a_rested_session(scene, a_project(scene))
    erased = ReportHomeErased(workspace_id=WORKSPACE, session_id=session_id)

    assert erasing(scene) == []
    scene.when(erased, actor=KERNEL).then_nothing()
    close(scene, session_id)
    assert erasing(scene) == [session_id]
    scene.when(erased, actor=KERNEL).then(SessionHomeErased(session_id=session_id))
    assert erasing(scene) == []


def test_nothing_is_erased_while_a_run_of_it_lives() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    close(scene, session_id)

    assert erasing(scene) == []
    exited(scene, its_run(scene, session_id))
    assert erasing(scene) == [session_id]


def test_nothing_is_erased_while_a_fork_is_about_to_take_it_over() -> None:
    scene = Scene()
    session_id = a_rested_session(scene, a_project(scene))
    fork = ForkSession(workspace_id=WORKSPACE, session_id=session_id, name="other")
    forked = SessionId(scene.when(fork).subject())
    made(scene, its_tree(scene, forked))
    close(scene, session_id)

    assert erasing(scene) == []
    exited(scene, its_run(scene, forked))
    assert erasing(scene) == [session_id]


def a_fork_on_its_way(scene: Scene) -> tuple[SessionId, SessionId]:
    """A closed session, and its fork whose worktree is being made."""
    session_id = a_rested_session(scene, a_project(scene))
    fork = ForkSession(workspace_id=WORKSPACE, session_id=session_id, name="other")
    forked = SessionId(scene.when(fork).subject())
    close(scene, session_id)
    return session_id, forked


def woken(outcome: Outcome, scene: Scene) -> set[str]:
    """Who looks again what is wanted, by facts about others."""
    heard = (each for each in outcome.events if isinstance(each, RunStarted | SessionClosed))
    return {id_ for each in heard for id_ in woken_by(each, scene.world)}


def test_nothing_is_erased_while_a_fork_waits_for_its_place() -> None:
    scene = Scene()
    session_id, forked = a_fork_on_its_way(scene)

    assert erasing(scene) == []
    made(scene, its_tree(scene, forked))
    assert erasing(scene) == []
    report = ReportStarted(workspace_id=WORKSPACE, run_id=its_run(scene, forked), pid=7, start_time=9)
    assert session_id in woken(scene.when(report, actor=KERNEL), scene)
    assert erasing(scene) == [session_id]


def test_a_fork_that_never_begins_keeps_nothing_from_being_erased() -> None:
    scene = Scene()
    session_id, forked = a_fork_on_its_way(scene)

    assert session_id in woken(close(scene, forked), scene)
    assert erasing(scene) == [session_id]


def test_a_session_that_never_ran_has_kept_nothing() -> None:
    scene = Scene()
    session_id = a_waiting_session(scene, a_project(scene))
    close(scene, session_id)

    assert erasing(scene) == []


def test_the_first_worktree_of_a_session_begins_its_first_run() -> None:
    scene = Scene()

    assert its_run(scene, a_session(scene))
