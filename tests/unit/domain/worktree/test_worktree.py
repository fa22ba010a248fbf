"""A worktree's life: asked for, made, committed, merged, deleted; and what a hand reports too late."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.project.commands import ArchiveProject, DetachRepository
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.run.commands import StartRun
from moduprompt.domain.session.events import SessionClosed
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.worktree.commands import (
    CommitWorktree,
    CreateWorktree,
    DeleteWorktree,
    MergeWorktree,
    Operation,
    ReportCommitted,
    ReportCreated,
    ReportDeleted,
    ReportFailed,
    ReportMerged,
)
from moduprompt.domain.worktree.events import (
    CommitRequested,
    DeleteRequested,
    MergeRequested,
    WorktreeDeleted,
    WorktreeFailed,
    WorktreeRequested,
    WorktreeSalvaged,
)
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.domain.worktree.view import COMMITS_SHOWN, WorktreeItem
from moduprompt.protocol import ProjectId, WorktreeId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene, an_id
from tests.support.stories import a_project, a_session, a_waiting_session, exited, its_run, its_tree, made


def create(scene: Scene, project_id: ProjectId, branch: str = "topic") -> Outcome:
    return scene.when(CreateWorktree(workspace_id=WORKSPACE, project_id=project_id, branch=branch))


def a_tree(scene: Scene) -> WorktreeId:
    tree = WorktreeId(create(scene, a_project(scene)).subject())
    made(scene, tree)
    return tree


def commit(scene: Scene, tree: WorktreeId) -> Outcome:
    return scene.when(CommitWorktree(workspace_id=WORKSPACE, worktree_id=tree, message="a change"))


def merge(scene: Scene, tree: WorktreeId) -> Outcome:
    return scene.when(MergeWorktree(workspace_id=WORKSPACE, worktree_id=tree))


def delete(scene: Scene, tree: WorktreeId) -> Outcome:
    return scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=tree))


def committed(scene: Scene, tree: WorktreeId, generation: int, *commits: str) -> Outcome:
    report = ReportCommitted(
        workspace_id=WORKSPACE,
        worktree_id=tree,
        generation=generation,
        head=commits[-1],
        commits=commits,
        files_changed=1,
    )
    return scene.when(report, actor=KERNEL)


def merged(scene: Scene, tree: WorktreeId, generation: int, *, brought_nothing: bool = False) -> Outcome:
    report = ReportMerged(
        workspace_id=WORKSPACE,
        worktree_id=tree,
        generation=generation,
        commit="feed",
        into="main",
        brought_nothing=brought_nothing,
    )
    return scene.when(report, actor=KERNEL)


def deleted(scene: Scene, tree: WorktreeId, salvage_ref: str | None = None) -> Outcome:
    report = ReportDeleted(workspace_id=WORKSPACE, worktree_id=tree, salvage_ref=salvage_ref)
    return scene.when(report, actor=KERNEL)


def failed(scene: Scene, tree: WorktreeId, operation: Operation, *, generation: int | None = None) -> Outcome:
    report = ReportFailed(
        workspace_id=WORKSPACE,
        worktree_id=tree,
        operation=operation,
        generation=generation,
        failure=FailureClass.MERGE_CONFLICT,
        reason="it did not work",
    )
    return scene.when(report, actor=KERNEL)


def test_a_worktree_of_nobody_is_made_from_the_projects_branch() -> None:
    scene = Scene()
    project_id = a_project(scene)
    outcome = create(scene, project_id)
    outcome.then(
        WorktreeRequested(
            worktree_id=WorktreeId(outcome.subject()),
            project_id=project_id,
            repository="/srv/repo",
            branch="topic",
            base="main",
        )
    )


def test_a_worktree_needs_a_project_that_takes_work_and_has_a_repository() -> None:
    scene = Scene()
    create(scene, ProjectId(an_id(1))).refused("project", code="not_found")
    project_id = a_project(scene, repository=None)
    create(scene, project_id).refused("no_repository")
    scene.when(ArchiveProject(workspace_id=WORKSPACE, project_id=project_id))
    create(scene, project_id).refused("project_archived")


def test_a_worktree_is_made_once() -> None:
    scene = Scene()
    tree = WorktreeId(create(scene, a_project(scene)).subject())
    report = ReportCreated(workspace_id=WORKSPACE, worktree_id=tree, path="/srv/t", head="c0ffee")
    scene.when(report, actor=KERNEL).then_wires("worktree.created")
    scene.when(report, actor=KERNEL).then_nothing()
    failed(scene, tree, "create").then_nothing()


def test_a_worktree_that_is_not_there_takes_no_order() -> None:
    scene = Scene()
    tree = WorktreeId(create(scene, a_project(scene)).subject())
    for order in (commit, merge, delete):
        order(scene, tree).refused("worktree_not_ready")


def test_a_commit_is_one_at_a_time_and_reported_once_by_its_generation() -> None:
    scene = Scene()
    tree = a_tree(scene)
    commit(scene, tree).then(CommitRequested(worktree_id=tree, generation=1, message="a change"))
    commit(scene, tree).refused("commit_under_way")
    committed(scene, tree, 0, "aa").then_nothing()
    committed(scene, tree, 1, "aa", "bb").then_wires("worktree.committed")
    committed(scene, tree, 1, "aa", "bb").then_nothing()
    assert scene.state(WorktreeState, tree).head == "bb"
    commit(scene, tree).then(CommitRequested(worktree_id=tree, generation=2, message="a change"))


def test_a_failed_commit_can_be_asked_for_again() -> None:
    scene = Scene()
    tree = a_tree(scene)
    commit(scene, tree)
    failed(scene, tree, "commit").then_wires("worktree.failed")
    failed(scene, tree, "commit").then_nothing()
    commit(scene, tree).then(CommitRequested(worktree_id=tree, generation=2, message="a change"))


def test_the_failure_of_an_earlier_commit_does_not_end_the_next_one() -> None:
    scene = Scene()
    tree = a_tree(scene)
    commit(scene, tree)
    failed(scene, tree, "commit", generation=1)
    commit(scene, tree)
    failed(scene, tree, "commit", generation=1).then_nothing()
    failed(scene, tree, "commit", generation=2).then_wires("worktree.failed")


def test_a_merge_is_asked_for_once_and_reported_once_by_its_generation() -> None:
    scene = Scene()
    tree = a_tree(scene)
    merge(scene, tree).then(MergeRequested(worktree_id=tree, generation=1, into="main"))
    merge(scene, tree).then_nothing()
    merged(scene, tree, 0).then_nothing()
    merged(scene, tree, 1).then_wires("worktree.merged")
    merged(scene, tree, 1).then_nothing()
    merge(scene, tree).then(MergeRequested(worktree_id=tree, generation=2, into="main"))
    failed(scene, tree, "merge", generation=1).then_nothing()
    failed(scene, tree, "merge", generation=2).then_wires("worktree.failed")
    merge(scene, tree).then(MergeRequested(worktree_id=tree, generation=3, into="main"))


def test_a_branch_is_merged_into_the_branch_of_its_own_repository_only() -> None:
    scene = Scene()
    tree = a_tree(scene)
    own = scene.state(WorktreeState, tree)
    first = scene.state(ProjectState, own.project_id).repositories[0].repository_id
    scene.when(DetachRepository(workspace_id=WORKSPACE, project_id=own.project_id, repository_id=first))
    merge(scene, tree).refused("no_repository")


def test_a_worktree_is_deleted_once_and_says_what_it_saved() -> None:
    scene = Scene()
    tree = a_tree(scene)
    deleted(scene, tree).then_nothing()
    delete(scene, tree).then(DeleteRequested(worktree_id=tree))
    delete(scene, tree).then_nothing()
    deleted(scene, tree, "refs/mp/salvage/1").then(
        WorktreeSalvaged(worktree_id=tree, ref="refs/mp/salvage/1"), WorktreeDeleted(worktree_id=tree)
    )
    deleted(scene, tree).then_nothing()
    delete(scene, tree).then_nothing()
    commit(scene, tree).refused("worktree_not_ready")


def test_a_worktree_that_could_not_be_deleted_is_ready_again() -> None:
    scene = Scene()
    tree = a_tree(scene)
    delete(scene, tree)
    failed(scene, tree, "delete").then_wires("worktree.failed")
    delete(scene, tree).then_wires("worktree.delete_requested")
    deleted(scene, tree).then(WorktreeDeleted(worktree_id=tree))


def test_a_worktree_is_not_deleted_under_a_commit_or_a_merge() -> None:
    scene = Scene()
    tree = a_tree(scene)
    commit(scene, tree)
    delete(scene, tree).refused("commit_under_way")
    committed(scene, tree, 1, "aa")
    merge(scene, tree)
    delete(scene, tree).refused("merge_under_way")
    merged(scene, tree, 1)
    delete(scene, tree).then_wires("worktree.delete_requested")


@pytest.mark.parametrize("operation", ["create", "commit", "merge", "delete"])
def test_a_failure_of_what_is_not_under_way_decides_nothing(operation: Operation) -> None:
    scene = Scene()
    failed(scene, a_tree(scene), operation).then_nothing()


def test_a_session_whose_worktree_could_not_be_made_is_closed_with_the_reason() -> None:
    scene = Scene()
    session_id = a_waiting_session(scene, a_project(scene))
    tree = its_tree(scene, session_id)
    outcome = failed(scene, tree, "create")
    outcome.then(
        WorktreeFailed(
            worktree_id=tree,
            operation="create",
            failure=FailureClass.MERGE_CONFLICT,
            reason="it did not work",
        ),
        SessionClosed(session_id=session_id, reason="its worktree could not be made: it did not work"),
    )


def test_a_session_has_no_place_after_its_worktree_was_deleted() -> None:
    scene = Scene()
    session_id = a_session(scene)
    tree = its_tree(scene, session_id)
    exited(scene, its_run(scene, session_id))
    delete(scene, tree)
    deleted(scene, tree).then_wires("worktree.deleted", "session.worktree_detached")
    assert scene.state(SessionState, session_id).worktree_id is None
    scene.when(StartRun(workspace_id=WORKSPACE, session_id=session_id)).refused("no_worktree")


def test_nothing_starts_in_a_worktree_that_is_being_deleted() -> None:
    scene = Scene()
    session_id = a_session(scene)
    exited(scene, its_run(scene, session_id))
    delete(scene, its_tree(scene, session_id))
    scene.when(StartRun(workspace_id=WORKSPACE, session_id=session_id)).refused("no_worktree")


@pytest.mark.parametrize("has_commits", [False, True])
def test_only_a_worktree_with_work_of_its_own_is_shown_as_merged(*, has_commits: bool) -> None:
    scene = Scene()
    tree = a_tree(scene)
    if has_commits:  # somebody moved the project's branch forwards to them
        commit(scene, tree)
        committed(scene, tree, 1, "feed")
    merge(scene, tree)
    merged(scene, tree, 1, brought_nothing=True).then_wires("worktree.merged")
    assert scene.row(WorktreeItem, tree).merged_as == ("feed" if has_commits else None)


def test_a_worktree_is_shown_as_it_stands() -> None:
    scene = Scene()
    tree = a_tree(scene)
    commit(scene, tree)
    failed(scene, tree, "commit")
    assert scene.row(WorktreeItem, tree).failure == "commit: it did not work"
    commit(scene, tree)
    assert scene.row(WorktreeItem, tree).failure is None
    commits = [f"{number:04x}" for number in range(COMMITS_SHOWN + 1)]
    committed(scene, tree, 2, *commits)
    merge(scene, tree)
    merged(scene, tree, 1)
    row = scene.row(WorktreeItem, tree)
    assert (row.status, row.head, row.merged_as, row.failure) == ("ready", commits[-1], "feed", None)
    assert row.commits == tuple(commits[1:])
    delete(scene, tree)
    assert scene.row(WorktreeItem, tree).status == "deleting"
    deleted(scene, tree, "refs/mp/salvage/1")
    row = scene.row(WorktreeItem, tree)
    assert (row.status, row.salvage_ref) == ("deleted", "refs/mp/salvage/1")


def test_a_worktree_that_could_not_be_made_is_shown_as_failed() -> None:
    scene = Scene()
    tree = WorktreeId(create(scene, a_project(scene)).subject())
    failed(scene, tree, "create")
    assert scene.row(WorktreeItem, tree).status == "failed"
