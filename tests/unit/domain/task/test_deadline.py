"""Deadlines: set, moved, taken away, missed; and what fires too late."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.task.commands import CancelTask, FailTask, FireDeadline, PauseTask, SetDeadline
from moduprompt.domain.task.events import DeadlineMissed, DeadlineSet
from moduprompt.domain.task.view import TaskItem
from moduprompt.protocol import TaskId, to_micros, to_timestamp
from tests.support.domain import KERNEL, NOW, WORKSPACE, Outcome, Scene
from tests.support.stories import a_project, a_running_task, a_task

SOON, LATER = "2026-01-01T00:10:00.000000Z", "2026-01-02T00:00:00.000000Z"


def until(scene: Scene, task_id: TaskId, due_at: str | None) -> Outcome:
    return scene.when(SetDeadline(workspace_id=WORKSPACE, task_id=task_id, due_at=due_at))


def fire(scene: Scene, task_id: TaskId, due_at: str) -> Outcome:
    return scene.when(FireDeadline(workspace_id=WORKSPACE, task_id=task_id, due_at=due_at), actor=KERNEL)


def test_a_deadline_is_set_moved_and_taken_away_each_once() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene))
    until(scene, task_id, None).then_nothing()
    for due_at in (SOON, LATER, None):
        until(scene, task_id, due_at).then(DeadlineSet(task_id=task_id, due_at=due_at))
        until(scene, task_id, due_at).then_nothing()
        assert scene.row(TaskItem, task_id).due_at == due_at
        assert [timer.due_at for timer in scene.timers()] == ([to_micros(due_at)] if due_at else [])


@pytest.mark.parametrize("due_at", ["2026-13-01T00:00:00.000000Z", "0000-01-01T00:00:00.000000Z"])
def test_a_deadline_is_a_point_in_time(due_at: str) -> None:
    scene = Scene()
    until(scene, a_task(scene, a_project(scene)), due_at).refused("no_such_time")


def test_a_deadline_lies_ahead() -> None:
    scene = Scene()
    until(scene, a_task(scene, a_project(scene)), to_timestamp(NOW)).refused("deadline_past")


def test_a_missed_deadline_is_said_once_also_of_a_paused_task() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene))
    until(scene, task_id, SOON)
    scene.when(PauseTask(workspace_id=WORKSPACE, task_id=task_id))
    (timer,) = scene.timers()
    assert timer.name == f"{task_id}/deadline/{SOON}"
    scene.when(timer.command, actor=KERNEL).then(DeadlineMissed(task_id=task_id, due_at=SOON))
    fire(scene, task_id, SOON).then_nothing()
    assert scene.timers() == []


def test_a_deadline_that_was_moved_does_not_fire() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene))
    until(scene, task_id, SOON)
    until(scene, task_id, LATER)
    fire(scene, task_id, SOON).then_nothing()


def test_a_task_that_is_over_misses_no_deadline() -> None:
    scene = Scene()
    project_id = a_project(scene)
    cancelled, failed = a_running_task(scene, project_id), a_running_task(scene, project_id)
    for task_id in (cancelled, failed):
        until(scene, task_id, SOON)
    scene.when(CancelTask(workspace_id=WORKSPACE, task_id=cancelled))
    scene.when(FailTask(workspace_id=WORKSPACE, task_id=failed, failure=FailureClass.INTERNAL))
    assert scene.timers() == []
    for task_id in (cancelled, failed):
        fire(scene, task_id, SOON).then_nothing()
