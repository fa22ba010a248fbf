"""A task's own orders: made, started, assigned, completed, failed, given up, opened again."""

from __future__ import annotations

from typing import TypeVar

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.gate.events import GateBlocked
from moduprompt.domain.project.commands import ArchiveProject
from moduprompt.domain.session.commands import CloseSession
from moduprompt.domain.task.commands import (
    AdvanceStage,
    AssignTask,
    CancelTask,
    CompleteTask,
    CreateTask,
    FailTask,
    PauseTask,
    ResumeTask,
    RetryTask,
    SetDeadline,
    StartTask,
    TaskOrder,
)
from moduprompt.domain.task.events import (
    AttemptFailed,
    StageChanged,
    TaskAssigned,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskStarted,
)
from moduprompt.domain.task.retries import RetryBudget
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.task.view import TaskItem
from moduprompt.protocol import ProjectId, SessionId, TaskId
from tests.support.domain import WORKSPACE, Outcome, Scene, an_id, text_ref
from tests.support.stories import (
    a_project,
    a_running_task,
    a_session,
    a_task,
    a_waiting_session,
    a_working_session,
    exited,
    its_run,
    observed,
    stage,
)

T = TypeVar("T", bound=TaskOrder)
ONE_STAGE = (stage("build"),)


def order(scene: Scene, kind: type[T], task_id: TaskId) -> Outcome:
    """An order that says nothing but which task."""
    return scene.when(kind(workspace_id=WORKSPACE, task_id=task_id))


def assign(scene: Scene, task_id: TaskId, session_id: SessionId) -> Outcome:
    return scene.when(AssignTask(workspace_id=WORKSPACE, task_id=task_id, session_id=session_id))


def fail(scene: Scene, task_id: TaskId, failure: FailureClass = FailureClass.INVALID_OUTPUT) -> Outcome:
    return scene.when(
        FailTask(workspace_id=WORKSPACE, task_id=task_id, failure=failure, reason="it is wrong")
    )


def status(scene: Scene, task_id: TaskId) -> str:
    shown, own = scene.row(TaskItem, task_id).status, scene.state(TaskState, task_id).status()
    assert shown == own, "what people see is what the state machine says"
    return shown


def test_a_task_pins_its_stages_and_gives_each_gate_an_id() -> None:
    scene = Scene()
    project_id = a_project(scene)
    command = CreateTask(
        workspace_id=WORKSPACE,
        project_id=project_id,
        title="a change",
        description="all about it",
        stages=(stage("build"), stage("ship", gates=2, needed=3)),
    )
    outcome = scene.when(command)
    outcome.then_wires("task.created", "gate.blocked", "gate.blocked")
    created = outcome.one(TaskCreated)
    gates = [event for event in outcome.events if isinstance(event, GateBlocked)]
    assert [each.gate_ids for each in created.stages] == [(), tuple(gate.gate_id for gate in gates)]
    assert {(gate.stage, gate.approvals_needed) for gate in gates} == {("ship", 3)}
    assert len({gate.gate_id for gate in gates}) == 2
    assert created.description == text_ref("all about it")
    assert created.retry == RetryBudget()


def test_a_task_needs_a_project_that_takes_work_and_stages_of_different_names() -> None:
    scene = Scene()
    project_id = a_project(scene)
    scene.when(CreateTask(workspace_id=WORKSPACE, project_id=ProjectId(an_id(1)), title="t")).refused(
        "project", code="not_found"
    )
    twice = CreateTask(
        workspace_id=WORKSPACE, project_id=project_id, title="t", stages=(stage("a"), stage("a"))
    )
    scene.when(twice).refused("stage_name_twice")
    scene.when(ArchiveProject(workspace_id=WORKSPACE, project_id=project_id))
    scene.when(CreateTask(workspace_id=WORKSPACE, project_id=project_id, title="t")).refused(
        "project_archived"
    )


def test_a_task_starts_once_in_its_first_stage() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene))
    order(scene, StartTask, task_id).then(
        TaskStarted(task_id=task_id, attempt=1), StageChanged(task_id=task_id, stage="plan")
    )
    order(scene, StartTask, task_id).then_nothing()
    assert status(scene, task_id) == "running"


def test_a_paused_task_does_not_start() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene))
    order(scene, PauseTask, task_id)
    order(scene, StartTask, task_id).refused("task_paused")


def test_a_task_is_assigned_to_a_session_of_its_project_once() -> None:
    scene = Scene()
    project_id = a_project(scene)
    task_id, session_id = a_task(scene, project_id), a_session(scene, project_id)
    assign(scene, task_id, session_id).then(TaskAssigned(task_id=task_id, session_id=session_id))
    assign(scene, task_id, session_id).then_nothing()
    assign(scene, task_id, SessionId(an_id(1))).refused("session", code="not_found")
    assign(scene, task_id, a_session(scene)).refused("other_project")


def test_a_closed_session_can_have_the_result_of_a_task_where_it_has_a_branch() -> None:
    scene = Scene()
    project_id = a_project(scene)
    task_id = a_task(scene, project_id)
    with_branch, without = a_session(scene, project_id), a_waiting_session(scene, project_id)
    for session_id in (with_branch, without):
        scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))
    assign(scene, task_id, without).refused("session_closed")
    assign(scene, task_id, with_branch).then_wires("task.assigned")


def test_a_task_that_is_assigned_anew_waits_for_whom_its_new_session_waits_for() -> None:
    scene = Scene()
    project_id = a_project(scene)
    asking, busy = a_working_session(scene, project_id), a_working_session(scene, project_id)
    task_id = a_running_task(scene, project_id, session_id=busy)
    observed(scene, its_run(scene, asking), "waiting_input")
    assign(scene, task_id, asking).then_wires("task.assigned", "task.blocked")
    assert status(scene, task_id) == "awaiting_user_input"
    assign(scene, task_id, busy).then_wires("task.assigned", "task.unblocked")
    assert status(scene, task_id) == "running"


def test_a_task_that_starts_while_its_session_waits_shows_it() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)
    observed(scene, its_run(scene, session_id), "blocked_on_permission")
    task_id = a_task(scene, project_id, session_id=session_id)
    order(scene, StartTask, task_id).then_wires("task.started", "task.stage_changed", "task.blocked")
    assert status(scene, task_id) == "awaiting_user_input"
    observed(scene, its_run(scene, session_id), "working")
    assert status(scene, task_id) == "running"


def test_a_task_completes_from_its_last_stage_once() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), stages=(stage("build"), stage("ship")))
    order(scene, CompleteTask, task_id).refused("stages_left")
    order(scene, AdvanceStage, task_id)
    order(scene, CompleteTask, task_id).then(TaskCompleted(task_id=task_id))
    order(scene, CompleteTask, task_id).then_nothing()


def test_a_task_that_does_not_run_does_not_complete() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene), stages=ONE_STAGE)
    order(scene, CompleteTask, task_id).refused("task_not_running")


def test_an_attempt_that_failed_for_good_ends_the_task() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene))
    failure, reason = FailureClass.INVALID_OUTPUT, "it is wrong"
    fail(scene, task_id).then(
        AttemptFailed(task_id=task_id, attempt=1, failure=failure, reason=reason),
        TaskFailed(task_id=task_id, failure=failure, reason=reason),
    )
    assert scene.row(TaskItem, task_id).failure == "invalid_output: it is wrong"


def test_there_is_no_attempt_to_fail_before_the_start() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene))
    fail(scene, task_id).refused("task_not_running")
    order(scene, PauseTask, task_id)
    fail(scene, task_id).refused("task_not_running")


def test_a_task_is_given_up_once_from_any_open_state() -> None:
    scene = Scene()
    project_id = a_project(scene)
    paused = a_task(scene, project_id)
    order(scene, PauseTask, paused)
    for task_id in (a_task(scene, project_id), a_running_task(scene, project_id), paused):
        order(scene, CancelTask, task_id).then(TaskCancelled(task_id=task_id))
        order(scene, CancelTask, task_id).then_nothing()
        assert status(scene, task_id) == "cancelled"


@pytest.mark.parametrize("kind", [CancelTask, CompleteTask])
def test_an_end_is_no_other_end(kind: type[CancelTask | CompleteTask]) -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), stages=ONE_STAGE)
    order(scene, CompleteTask if kind is CancelTask else CancelTask, task_id)
    order(scene, kind, task_id).refused("task_closed")


def test_a_closed_task_takes_no_order() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene))
    order(scene, CancelTask, task_id)
    for kind in (StartTask, AdvanceStage, PauseTask, ResumeTask, RetryTask):
        order(scene, kind, task_id).refused("task_closed")
    fail(scene, task_id).refused("task_closed")
    scene.when(SetDeadline(workspace_id=WORKSPACE, task_id=task_id, due_at=None)).refused("task_closed")
    assign(scene, task_id, SessionId(an_id(1))).refused("task_closed")


def test_a_failed_task_is_opened_again_in_the_stage_where_it_stood() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene))
    order(scene, AdvanceStage, task_id)
    order(scene, RetryTask, task_id).then_nothing()
    fail(scene, task_id)
    order(scene, RetryTask, task_id).then(TaskStarted(task_id=task_id, attempt=2))
    row = scene.row(TaskItem, task_id)
    assert (row.stage, row.attempt, row.failure) == ("implement", 2, None)


def test_a_failed_task_can_be_given_to_another_session_before_it_is_opened_again() -> None:
    scene = Scene()
    project_id = a_project(scene)
    task_id = a_running_task(scene, project_id, session_id=a_session(scene, project_id))
    fail(scene, task_id)
    other = a_session(scene, project_id)
    assign(scene, task_id, other).then(TaskAssigned(task_id=task_id, session_id=other))
    assert scene.row(TaskItem, task_id).session_id == other


def test_opening_a_task_again_starts_its_sessions_program_again() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)
    task_id = a_running_task(scene, project_id, session_id=session_id)
    fail(scene, task_id)
    order(scene, RetryTask, task_id).then_wires("task.started")  # its run goes on
    fail(scene, task_id)
    run = its_run(scene, session_id)
    exited(scene, run)
    order(scene, RetryTask, task_id).then_wires("task.started", "worktree.writer_locked", "run.requested")


def test_a_task_whose_session_is_closed_is_tried_again_when_a_person_has_said_who_goes_on() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_session(scene, project_id)
    task_id = a_running_task(scene, project_id, session_id=session_id)
    scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))
    fail(scene, task_id)
    order(scene, RetryTask, task_id).then_wires("task.started", "task.attempt_failed", "task.failed")
    other = a_session(scene, project_id)
    exited(scene, its_run(scene, other))
    scene.when(AssignTask(workspace_id=WORKSPACE, task_id=task_id, session_id=other))
    order(scene, RetryTask, task_id).then_wires("task.started", "worktree.writer_locked", "run.requested")
