"""An attempt whose run can't begin has failed, for what keeps it from beginning: nobody waits for nothing."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.project.commands import ArchiveProject
from moduprompt.domain.run.commands import ReportExited, ReportSaid, Sighting, StartRun
from moduprompt.domain.run.events import RunExited
from moduprompt.domain.run.said import Said, TurnBegan, TurnEnded, UsageReported
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import (
    AgentSpec,
    AttachWorktree,
    CloseSession,
    FireUnpark,
    SetBudget,
    SpawnSession,
)
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.commands import FireRetry, RetryTask
from moduprompt.domain.task.events import AttemptFailed
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import RunId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import a_project, a_running_task, a_session, exited, its_run, its_tree, started

ALL = UsageReported(input_tokens=500)


class Story:
    """A task whose session has a budget, which its child may use up."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.project_id = a_project(self.scene)
        self.session_id = self.spawned(budget_tokens=100)
        retry = RetryRule(max_attempts=3, jitter="none", delay_s=5)
        self.task_id = a_running_task(self.scene, self.project_id, session_id=self.session_id, retry=retry)
        self.run: RunId = its_run(self.scene, self.session_id)

    def spawned(self, *, parent: SessionId | None = None, budget_tokens: int | None = None) -> SessionId:
        command = SpawnSession(
            workspace_id=WORKSPACE,
            project_id=self.project_id,
            name="worker",
            agent=AgentSpec(adapter="claude"),
            place="none",
            parent_session_id=parent,
            budget_tokens=budget_tokens,
        )
        session_id = SessionId(self.scene.when(command).subject())
        started(self.scene, its_run(self.scene, session_id))
        return session_id

    def says(self, run: RunId, *said: Said, is_waiting: bool = False) -> Outcome:
        seen = Sighting(status="waiting_input", rule="said", rule_version=1, evidence="")
        upto = self.scene.state(RunState, run).said_upto + 1
        report = ReportSaid(
            workspace_id=WORKSPACE, run_id=run, upto=upto, said=said, seen=seen if is_waiting else None
        )
        return self.scene.when(report, actor=KERNEL)

    def child_uses_all(self) -> None:
        child = self.spawned(parent=self.session_id)
        run = its_run(self.scene, child)
        self.says(run, ALL)
        exited(self.scene, run)

    def ends(self, failure: FailureClass) -> Outcome:
        report = ReportExited(
            workspace_id=WORKSPACE,
            run_id=self.run,
            how="exited",
            code=1,
            failure=failure,
            outcome="failed",
            rule="turn_failed",
            evidence="its turn failed",
        )
        return self.scene.when(report, actor=KERNEL)

    def fires(self, kind: type[FireRetry | FireUnpark]) -> Outcome:
        (timer,) = (each for each in self.scene.timers() if isinstance(each.command, kind))
        self.scene.now = timer.due_at
        return self.scene.when(timer.command, actor=KERNEL)

    def phase(self) -> str:
        return self.scene.state(TaskState, self.task_id).phase


def test_a_retry_with_a_budget_that_is_used_up_has_failed_with_that() -> None:
    story = Story()
    story.ends(FailureClass.NETWORK)
    story.child_uses_all()
    outcome = story.fires(FireRetry)
    outcome.then_wires("task.started", "task.attempt_failed", "task.failed")
    failed = outcome.one(AttemptFailed)
    assert failed.failure is FailureClass.BUDGET_EXCEEDED
    assert "budget" in failed.reason
    story.scene.when(SetBudget(workspace_id=WORKSPACE, session_id=story.session_id, tokens=10_000))
    again = story.scene.when(RetryTask(workspace_id=WORKSPACE, task_id=story.task_id))
    again.then_wires("task.started", "run.requested")


def test_a_retry_of_a_session_that_was_closed_has_failed_with_that() -> None:
    story = Story()
    story.ends(FailureClass.NETWORK)
    story.scene.when(CloseSession(workspace_id=WORKSPACE, session_id=story.session_id))
    assert story.fires(FireRetry).one(AttemptFailed).failure is FailureClass.CANCELLED
    assert story.phase() == "failed"


def test_a_retry_in_a_project_that_takes_no_work_has_failed_with_that() -> None:
    story = Story()
    story.ends(FailureClass.NETWORK)
    story.scene.when(ArchiveProject(workspace_id=WORKSPACE, project_id=story.project_id))
    assert story.fires(FireRetry).one(AttemptFailed).failure is FailureClass.DEPENDENCY_FAILED
    assert story.phase() == "failed"


def test_a_retry_whose_program_runs_already_goes_on_with_it() -> None:
    story = Story()
    story.ends(FailureClass.NETWORK)
    story.scene.when(StartRun(workspace_id=WORKSPACE, session_id=story.session_id)).then_wires(
        "run.requested"
    )
    story.fires(FireRetry).then_wires("task.started")
    assert story.phase() == "running"


def test_a_window_that_opens_for_a_used_up_budget_fails_the_attempt_with_the_budget() -> None:
    story = Story()
    story.ends(FailureClass.RATE_LIMITED).then_wires("run.exited", "session.parked", "task.blocked")
    story.child_uses_all()
    outcome = story.fires(FireUnpark)
    assert outcome.one(AttemptFailed).failure is FailureClass.BUDGET_EXCEEDED
    assert story.phase() == "failed"
    assert story.scene.row(SessionItem, story.session_id).awaits_budget_of is None


@pytest.mark.parametrize("is_limited_first", [True, False])
def test_a_budget_that_is_used_up_in_the_turn_that_a_limit_ends_is_what_stops_the_run(
    *, is_limited_first: bool
) -> None:
    story = Story()
    limited = TurnEnded(how="failed", failure=FailureClass.RATE_LIMITED)
    story.says(story.run, TurnBegan())
    if is_limited_first:
        story.says(story.run, limited, is_waiting=True)
        story.says(story.run, ALL)
    else:
        story.says(story.run, ALL, limited, is_waiting=True)
    assert story.scene.state(RunState, story.run).stop_failure is FailureClass.BUDGET_EXCEEDED
    report = ReportExited(workspace_id=WORKSPACE, run_id=story.run, how="stopped")
    outcome = story.scene.when(report, actor=KERNEL)
    assert outcome.one(RunExited).failure is FailureClass.BUDGET_EXCEEDED
    assert outcome.one(AttemptFailed).failure is FailureClass.BUDGET_EXCEEDED
    assert (story.phase(), story.scene.timers()) == ("failed", [])


def test_nobody_stands_in_line_for_a_branch_with_a_budget_that_is_used_up() -> None:
    story = Story()
    tree = its_tree(story.scene, a_session(story.scene, story.project_id))
    story.ends(FailureClass.NETWORK)
    attach = AttachWorktree(workspace_id=WORKSPACE, session_id=story.session_id, worktree_id=tree)
    story.scene.when(attach).then_wires("session.worktree_attached")
    story.child_uses_all()
    story.fires(FireRetry).then_wires("task.started", "task.attempt_failed", "task.failed")
