"""A window that opens begins nothing for work that is held or over."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportExited, StartRun
from moduprompt.domain.run.decide import live_run
from moduprompt.domain.session.commands import FireUnpark
from moduprompt.domain.session.events import SessionUnparked
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.commands import (
    AssignTask,
    CancelTask,
    FailTask,
    PauseTask,
    ResumeTask,
    StartTask,
)
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import SessionId, TaskId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import (
    a_project,
    a_running_task,
    a_task,
    a_waiting_session,
    a_working_session,
    exited,
    its_run,
    started,
)


class Story:
    """A task whose session is parked."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.project_id = a_project(self.scene)
        self.session_id: SessionId = a_working_session(self.scene, self.project_id)
        self.task_id: TaskId = a_running_task(self.scene, self.project_id, session_id=self.session_id)
        self.is_limited().then_wires(
            "run.exited", "worktree.writer_released", "session.parked", "task.blocked"
        )

    def is_limited(self) -> Outcome:
        report = ReportExited(
            workspace_id=WORKSPACE,
            run_id=its_run(self.scene, self.session_id),
            how="exited",
            code=1,
            failure=FailureClass.RATE_LIMITED,
        )
        return self.scene.when(report, actor=KERNEL)

    def order(
        self, kind: type[CancelTask | PauseTask | ResumeTask | StartTask], task_id: TaskId | None = None
    ) -> Outcome:
        return self.scene.when(kind(workspace_id=WORKSPACE, task_id=task_id or self.task_id))

    def opens(self) -> Outcome:
        (timer,) = (each for each in self.scene.timers() if isinstance(each.command, FireUnpark))
        self.scene.now = timer.due_at
        return self.scene.when(timer.command, actor=KERNEL)

    def is_parked(self) -> bool:
        return self.scene.state(SessionState, self.session_id).parked is not None

    def is_live(self) -> bool:
        return live_run(self.session_id, self.scene.world) is not None

    def status(self) -> str:
        return self.scene.state(TaskState, self.task_id).status()


GOES_ON = ("session.unparked", "worktree.writer_locked", "run.requested", "task.unblocked")


def test_a_paused_task_keeps_its_agent_from_starting_until_it_is_resumed() -> None:
    story = Story()
    story.order(PauseTask)
    story.opens().then_nothing()
    assert (story.is_live(), story.status()) == (False, "paused")
    outcome = story.order(ResumeTask)
    assert sorted(event.wire for event in outcome.events) == sorted(("task.resumed", *GOES_ON))
    assert outcome.one(SessionUnparked).why == "due"
    assert (story.is_live(), story.status()) == (True, "running")


def test_a_task_that_is_resumed_before_its_window_opens_waits_for_that() -> None:
    story = Story()
    story.order(PauseTask)
    story.order(ResumeTask).then_wires("task.resumed")
    assert (story.is_live(), story.status()) == (False, "parked")
    story.opens()
    assert (story.is_live(), story.status()) == (True, "running")


def test_a_task_that_is_given_up_does_not_start_its_agent() -> None:
    story = Story()
    story.order(CancelTask).then_wires("task.cancelled", "session.unparked")
    assert not story.is_parked()
    assert story.scene.timers() == []
    assert not story.is_live()


def test_a_task_that_is_given_up_while_it_was_held_does_not_start_its_agent() -> None:
    story = Story()
    story.order(PauseTask)
    story.opens().then_nothing()
    story.order(CancelTask).then_wires("task.cancelled", "session.unparked")
    assert not story.is_live()


def test_a_task_that_is_failed_by_hand_does_not_start_its_agent() -> None:
    story = Story()
    command = FailTask(
        workspace_id=WORKSPACE, task_id=story.task_id, failure=FailureClass.CANCELLED, reason="enough"
    )
    story.scene.when(command).then_wires("task.attempt_failed", "task.failed", "session.unparked")
    assert not story.is_live()


@pytest.mark.parametrize("kind", [PauseTask, CancelTask])
def test_an_agent_that_works_for_another_task_too_goes_on(kind: type[PauseTask | CancelTask]) -> None:
    story = Story()
    other = a_running_task(story.scene, story.project_id, session_id=story.session_id)
    story.order(kind)
    story.opens()
    assert story.is_live()
    assert story.scene.state(TaskState, other).status() == "running"


def test_what_a_person_starts_after_a_task_was_given_up_is_parked_and_goes_on_as_ever() -> None:
    story = Story()
    story.order(CancelTask)
    story.scene.when(StartRun(workspace_id=WORKSPACE, session_id=story.session_id))
    started(story.scene, its_run(story.scene, story.session_id))
    story.is_limited()
    assert story.is_parked()
    story.opens()
    assert story.is_live()


def test_whoever_starts_the_agent_of_a_paused_task_needs_no_window() -> None:
    story = Story()
    story.order(PauseTask)
    story.opens().then_nothing()
    story.scene.when(StartRun(workspace_id=WORKSPACE, session_id=story.session_id))
    assert story.is_live()
    story.order(ResumeTask).then_wires("task.resumed")
    assert story.status() == "running"


@pytest.mark.parametrize("is_running", [True, False])
def test_new_work_for_an_agent_that_was_held_begins_when_its_window_has_opened(*, is_running: bool) -> None:
    story = Story()
    story.order(PauseTask)
    story.opens().then_nothing()
    if is_running:
        other = a_waiting_session(story.scene, story.project_id, place="none")
        exited(story.scene, its_run(story.scene, other))
        task_id = a_running_task(story.scene, story.project_id, session_id=other)
        command = AssignTask(workspace_id=WORKSPACE, task_id=task_id, session_id=story.session_id)
        story.scene.when(command)
    else:
        task_id = a_task(story.scene, story.project_id, session_id=story.session_id)
        story.order(StartTask, task_id)
    assert story.is_live()
    assert story.scene.state(TaskState, task_id).status() == "running"


def test_an_agent_whose_held_work_is_given_to_another_goes_on_by_itself() -> None:
    story = Story()
    story.order(PauseTask)
    story.opens().then_nothing()
    other = a_working_session(story.scene, story.project_id)

    outcome = story.scene.when(AssignTask(workspace_id=WORKSPACE, task_id=story.task_id, session_id=other))

    assert outcome.one(SessionUnparked).session_id == story.session_id
    assert (story.is_parked(), story.is_live()) == (False, True)
