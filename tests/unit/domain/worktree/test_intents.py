"""What a worktree wants of git, in every state it can be in."""

from __future__ import annotations

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.worktree.commands import (
    CommitWorktree,
    DeleteWorktree,
    MergeWorktree,
    ReportCommitted,
    ReportDeleted,
    ReportFailed,
)
from moduprompt.domain.worktree.intents import (
    MakeCommit,
    MakeMerge,
    MakeWorktree,
    RemoveWorktree,
    WorktreeIntent,
)
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import SessionId, WorktreeId
from tests.support.domain import KERNEL, WORKSPACE, Scene
from tests.support.stories import a_project, a_session, a_waiting_session, exited, its_run, its_tree, made


def wanted(scene: Scene) -> list[WorktreeIntent]:
    return [each for each in scene.intents() if isinstance(each, WorktreeIntent)]


def idle(scene: Scene) -> tuple[SessionId, WorktreeId]:
    session_id = a_session(scene)
    exited(scene, its_run(scene, session_id))
    return session_id, its_tree(scene, session_id)


def commit(scene: Scene, tree: WorktreeId) -> None:
    scene.when(CommitWorktree(workspace_id=WORKSPACE, worktree_id=tree, message="a change"))


def test_a_worktree_that_was_asked_for_is_to_be_made_until_it_is() -> None:
    scene = Scene()
    session_id = a_waiting_session(scene, a_project(scene))
    tree = its_tree(scene, session_id)
    own = scene.state(WorktreeState, tree)
    assert wanted(scene) == [
        MakeWorktree(
            name=f"worktree/{tree}/create",
            workspace_id=WORKSPACE,
            worktree_id=tree,
            repository="/srv/repo",
            branch=own.branch,
            base="main",
        )
    ]
    made(scene, tree)
    assert wanted(scene) == []


def test_a_worktree_that_could_not_be_made_wants_nothing() -> None:
    scene = Scene()
    tree = its_tree(scene, a_waiting_session(scene, a_project(scene)))
    report = ReportFailed(
        workspace_id=WORKSPACE,
        worktree_id=tree,
        operation="create",
        failure=FailureClass.WORKTREE_CONFLICT,
        reason="the branch is taken",
    )
    scene.when(report, actor=KERNEL)
    assert wanted(scene) == []


def test_a_commit_is_made_in_the_sessions_name_from_where_the_branch_stood() -> None:
    scene = Scene()
    _, tree = idle(scene)
    commit(scene, tree)
    own = scene.state(WorktreeState, tree)
    assert own.path is not None
    assert wanted(scene) == [
        MakeCommit(
            name=f"worktree/{tree}/commit/1",
            workspace_id=WORKSPACE,
            worktree_id=tree,
            repository="/srv/repo",
            branch=own.branch,
            path=own.path,
            since="c0ffee",
            message="a change",
            generation=1,
            author="worker",
        )
    ]


def test_a_merge_waits_for_the_commit_under_way() -> None:
    scene = Scene()
    _, tree = idle(scene)
    commit(scene, tree)
    scene.when(MergeWorktree(workspace_id=WORKSPACE, worktree_id=tree))
    assert [each.name for each in wanted(scene)] == [f"worktree/{tree}/commit/1"]
    report = ReportCommitted(
        workspace_id=WORKSPACE, worktree_id=tree, generation=1, head="aa", commits=("aa",), files_changed=1
    )
    scene.when(report, actor=KERNEL)
    (intent,) = wanted(scene)
    assert isinstance(intent, MakeMerge)
    assert intent.path == f"/srv/trees/{tree}"
    assert (intent.name, intent.into, intent.generation) == (f"worktree/{tree}/merge/1", "main", 1)


def test_a_worktree_that_shall_go_is_to_be_removed_until_it_is() -> None:
    scene = Scene()
    _, tree = idle(scene)
    scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=tree))
    (intent,) = wanted(scene)
    assert isinstance(intent, RemoveWorktree)
    assert (intent.name, intent.into) == (f"worktree/{tree}/delete/1", "main")
    scene.when(ReportDeleted(workspace_id=WORKSPACE, worktree_id=tree), actor=KERNEL)
    assert wanted(scene) == []


def test_a_removal_that_failed_is_another_one_the_next_time() -> None:
    scene = Scene()
    _, tree = idle(scene)
    names: list[str] = []
    for _ in range(2):
        scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=tree))
        names += [each.name for each in wanted(scene)]
        report = ReportFailed(
            workspace_id=WORKSPACE,
            worktree_id=tree,
            operation="delete",
            failure=FailureClass.INTERNAL,
            reason="the disk is busy",
        )
        scene.when(report, actor=KERNEL)
    # The name is the key under which a hand reports: one that was used says nothing new.
    assert len(set(names)) == 2
