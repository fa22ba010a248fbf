"""A merge ends the tasks of whoever works in the worktree, whoever it was made for."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.session.commands import AttachWorktree, CloseSession, DetachWorktree
from moduprompt.domain.task.commands import AdvanceStage, CompleteTask
from moduprompt.domain.task.events import AttemptFailed, TaskCompleted
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.commands import CreateWorktree, MergeWorktree, ReportFailed, ReportMerged
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import ProjectId, SessionId, TaskId, WorktreeId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import (
    a_project,
    a_running_task,
    a_session,
    a_waiting_session,
    advanced,
    exited,
    its_run,
    its_tree,
    made,
    stage,
)

MERGING = (stage("implement"), stage("merge", "merge"))


def an_attached_session(scene: Scene, project_id: ProjectId, worktree_id: WorktreeId) -> SessionId:
    session_id = a_waiting_session(scene, project_id, place="none")
    exited(scene, its_run(scene, session_id))
    attach = AttachWorktree(workspace_id=WORKSPACE, session_id=session_id, worktree_id=worktree_id)
    scene.when(attach).then_wires("session.worktree_attached")
    return session_id


def a_left_worktree(scene: Scene, project_id: ProjectId) -> WorktreeId:
    """One whose session is closed."""
    session_id = a_session(scene, project_id)
    exited(scene, its_run(scene, session_id))
    scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))
    return its_tree(scene, session_id)


def nobodys_worktree(scene: Scene, project_id: ProjectId) -> WorktreeId:
    """One that was made for no session."""
    create = CreateWorktree(workspace_id=WORKSPACE, project_id=project_id, branch="work")
    worktree_id = WorktreeId(scene.when(create).subject())
    made(scene, worktree_id)
    return worktree_id


def merging(scene: Scene, project_id: ProjectId, session_id: SessionId) -> TaskId:
    task_id = a_running_task(scene, project_id, stages=MERGING, session_id=session_id)
    assert advanced(scene, task_id) == ["task.stage_changed", "worktree.merge_requested"]
    return task_id


def merged(scene: Scene, worktree_id: WorktreeId) -> Outcome:
    tree = scene.state(WorktreeState, worktree_id)
    report = ReportMerged(
        workspace_id=WORKSPACE,
        worktree_id=worktree_id,
        generation=tree.merge_generation,
        commit="feed",
        into="main",
    )
    return scene.when(report, actor=KERNEL)


def conflicted(scene: Scene, worktree_id: WorktreeId) -> Outcome:
    report = ReportFailed(
        workspace_id=WORKSPACE,
        worktree_id=worktree_id,
        operation="merge",
        failure=FailureClass.MERGE_CONFLICT,
        reason="both changed a.py",
    )
    return scene.when(report, actor=KERNEL)


@pytest.mark.parametrize("is_left", [True, False])
def test_a_merge_ends_the_task_of_who_was_put_there(*, is_left: bool) -> None:
    scene = Scene()
    project_id = a_project(scene)
    worktree_id = (a_left_worktree if is_left else nobodys_worktree)(scene, project_id)
    task_id = merging(scene, project_id, an_attached_session(scene, project_id, worktree_id))
    scene.when(CompleteTask(workspace_id=WORKSPACE, task_id=task_id)).refused("merge_under_way")
    assert merged(scene, worktree_id).one(TaskCompleted).task_id == task_id


@pytest.mark.parametrize("is_left", [True, False])
def test_a_conflict_fails_the_task_of_who_was_put_there(*, is_left: bool) -> None:
    scene = Scene()
    project_id = a_project(scene)
    worktree_id = (a_left_worktree if is_left else nobodys_worktree)(scene, project_id)
    task_id = merging(scene, project_id, an_attached_session(scene, project_id, worktree_id))
    failed = conflicted(scene, worktree_id).one(AttemptFailed)
    assert (failed.task_id, failed.failure) == (task_id, FailureClass.MERGE_CONFLICT)


def test_a_merge_ends_the_tasks_of_everyone_there_once() -> None:
    scene = Scene()
    project_id = a_project(scene)
    maker = a_session(scene, project_id)
    exited(scene, its_run(scene, maker))
    worktree_id = its_tree(scene, maker)
    first = merging(scene, project_id, maker)
    second = a_running_task(
        scene, project_id, stages=MERGING, session_id=an_attached_session(scene, project_id, worktree_id)
    )
    assert advanced(scene, second) == ["task.stage_changed"]
    merged(scene, worktree_id).then_wires("worktree.merged", "task.completed", "task.completed")
    assert {scene.state(TaskState, each).phase for each in (first, second)} == {"succeeded"}


def test_a_merge_of_a_worktree_that_its_maker_has_left_does_not_end_the_makers_task() -> None:
    scene = Scene()
    project_id = a_project(scene)
    maker = a_session(scene, project_id)
    exited(scene, its_run(scene, maker))
    left = its_tree(scene, maker)
    scene.when(DetachWorktree(workspace_id=WORKSPACE, session_id=maker))
    elsewhere = nobodys_worktree(scene, project_id)
    attach = AttachWorktree(workspace_id=WORKSPACE, session_id=maker, worktree_id=elsewhere)
    scene.when(attach).then_wires("session.worktree_attached")
    task_id = merging(scene, project_id, maker)
    scene.when(MergeWorktree(workspace_id=WORKSPACE, worktree_id=left))
    merged(scene, left).then_wires("worktree.merged")
    assert scene.state(TaskState, task_id).phase == "running"
    merged(scene, elsewhere).then_wires("worktree.merged", "task.completed")


def test_nobody_leaves_a_worktree_that_is_being_merged() -> None:
    scene = Scene()
    project_id = a_project(scene)
    worktree_id = nobodys_worktree(scene, project_id)
    session_id = an_attached_session(scene, project_id, worktree_id)
    merging(scene, project_id, session_id)
    detach = DetachWorktree(workspace_id=WORKSPACE, session_id=session_id)
    scene.when(detach).refused("merge_under_way")
    conflicted(scene, worktree_id)
    scene.when(detach).then_wires("session.worktree_detached")


def test_a_task_that_waits_for_its_merge_is_told_so_where_it_asks_to_go_on() -> None:
    scene = Scene()
    project_id = a_project(scene)
    worktree_id = nobodys_worktree(scene, project_id)
    task_id = merging(scene, project_id, an_attached_session(scene, project_id, worktree_id))
    scene.when(AdvanceStage(workspace_id=WORKSPACE, task_id=task_id)).refused("merge_under_way")
