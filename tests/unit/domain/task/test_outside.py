"""What runs and worktrees do to the task whose session they belong to."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import (
    ExitHow,
    ReportExited,
    ReportLost,
    ReportSaid,
    Sighting,
    StopRun,
)
from moduprompt.domain.run.events import RunStopRequested
from moduprompt.domain.run.said import PromptTaken, Said, TurnBegan, TurnEnded
from moduprompt.domain.session.commands import ReportPrompt
from moduprompt.domain.task.commands import (
    AssignTask,
    CancelTask,
    CompleteTask,
    FireRetry,
    PauseTask,
    ResumeTask,
    RetryTask,
)
from moduprompt.domain.task.events import AttemptFailed
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.task.view import TaskItem
from moduprompt.domain.worktree.commands import DeleteWorktree, MergeWorktree, ReportFailed, ReportMerged
from moduprompt.domain.worktree.events import MergeRequested
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import RunId, SessionId, TaskId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import (
    a_project,
    a_prompt,
    a_running_task,
    a_session,
    a_task,
    a_waiting_session,
    a_working_session,
    advanced,
    exited,
    its_run,
    its_tree,
    observed,
    stage,
)

MERGING = (stage("build"), stage("land", "merge"))
TWICE = RetryRule(max_attempts=2, jitter="none", delay_s=5)


def at_work(scene: Scene, retry: RetryRule | None = None) -> tuple[TaskId, SessionId, RunId]:
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)
    task_id = a_running_task(scene, project_id, stages=MERGING, session_id=session_id, retry=retry)
    return task_id, session_id, its_run(scene, session_id)


def merging(scene: Scene, retry: RetryRule | None = None) -> tuple[TaskId, SessionId]:
    task_id, session_id, run = at_work(scene, retry)
    exited(scene, run)
    assert advanced(scene, task_id) == ["task.stage_changed", "worktree.merge_requested"]
    return task_id, session_id


def merged(scene: Scene, session_id: SessionId) -> Outcome:
    tree = scene.state(WorktreeState, its_tree(scene, session_id))
    report = ReportMerged(
        workspace_id=WORKSPACE,
        worktree_id=tree.worktree_id,
        generation=tree.merge_generation,
        commit="feed",
        into="main",
    )
    return scene.when(report, actor=KERNEL)


def conflicted(scene: Scene, session_id: SessionId) -> Outcome:
    report = ReportFailed(
        workspace_id=WORKSPACE,
        worktree_id=its_tree(scene, session_id),
        operation="merge",
        failure=FailureClass.MERGE_CONFLICT,
        reason="both changed a.py",
    )
    return scene.when(report, actor=KERNEL)


def ended(
    scene: Scene,
    run: RunId,
    how: ExitHow,
    *,
    code: int | None = None,
    failure: FailureClass | None = None,
) -> Outcome:
    report = ReportExited(workspace_id=WORKSPACE, run_id=run, how=how, code=code, failure=failure)
    return scene.when(report, actor=KERNEL)


def pause(scene: Scene, task_id: TaskId) -> None:
    scene.when(PauseTask(workspace_id=WORKSPACE, task_id=task_id)).then_wires("task.paused")


def resume(scene: Scene, task_id: TaskId) -> None:
    scene.when(ResumeTask(workspace_id=WORKSPACE, task_id=task_id)).then_wires("task.resumed")


def status(scene: Scene, task_id: TaskId) -> str:
    shown, own = scene.row(TaskItem, task_id).status, scene.state(TaskState, task_id).status()
    assert shown == own, "what people see is what the state machine says"
    return shown


def test_a_task_waits_while_its_agent_waits_for_somebody() -> None:
    scene = Scene()
    task_id, _, run = at_work(scene)
    for asks, answers in (("waiting_input", "working"), ("blocked_on_permission", "idle")):
        observed(scene, run, asks)  # type: ignore[arg-type]  # both are statuses
        assert status(scene, task_id) == "awaiting_user_input"
        observed(scene, run, answers)  # type: ignore[arg-type]
        assert status(scene, task_id) == "running"


def test_a_task_does_not_wait_for_a_run_that_has_ended() -> None:
    scene = Scene()
    task_id, _, run = at_work(scene)
    observed(scene, run, "waiting_input")
    assert "task.unblocked" in exited(scene, run)
    assert status(scene, task_id) == "running"


def test_a_run_that_ended_well_leaves_the_task_where_it_is() -> None:
    scene = Scene()
    task_id, _, run = at_work(scene)
    assert exited(scene, run) == ["run.exited", "worktree.writer_released"]
    assert status(scene, task_id) == "running"


@pytest.mark.parametrize(
    ("how", "code", "failure", "expected"),
    [
        ("exited", 1, None, FailureClass.EXIT_NONZERO),
        ("exited", 0, FailureClass.NETWORK, FailureClass.NETWORK),
        ("signalled", None, None, FailureClass.SIGNALLED),
        ("timed_out", None, None, FailureClass.TIMEOUT),
        ("not_started", None, FailureClass.PROGRAM_MISSING, FailureClass.PROGRAM_MISSING),
        ("not_started", None, None, FailureClass.SPAWN_FAILED),
    ],
)
def test_a_run_that_ended_badly_fails_the_attempt_with_its_class(
    how: ExitHow, code: int | None, failure: FailureClass | None, expected: FailureClass
) -> None:
    scene = Scene()
    task_id, _, run = at_work(scene)
    outcome = ended(scene, run, how, code=code, failure=failure)
    assert outcome.one(AttemptFailed).failure is expected
    assert status(scene, task_id) == "failed"


def test_a_lost_run_fails_the_attempt() -> None:
    scene = Scene()
    _, _, run = at_work(scene)
    report = ReportLost(workspace_id=WORKSPACE, run_id=run, evidence="no keeper")
    assert scene.when(report, actor=KERNEL).one(AttemptFailed).failure is FailureClass.LOST


def test_a_run_that_somebody_stopped_fails_nothing() -> None:
    scene = Scene()
    task_id, session_id, run = at_work(scene)
    ended(scene, run, "stopped")
    assert status(scene, task_id) == "running"
    task_id = a_task(scene, scene.state(TaskState, task_id).project_id)
    other = its_run(scene, a_session(scene, scene.state(TaskState, task_id).project_id))
    scene.when(AssignTask(workspace_id=WORKSPACE, task_id=task_id, session_id=session_id))
    scene.when(StopRun(workspace_id=WORKSPACE, run_id=other))
    ended(scene, other, "not_started").then_wires("run.exited", "worktree.writer_released")


def test_a_failed_attempt_that_may_be_retried_starts_the_program_again_when_its_time_comes() -> None:
    scene = Scene()
    task_id, session_id, run = at_work(scene, TWICE)
    assert exited(scene, run, code=1) == [
        "run.exited",
        "worktree.writer_released",
        "task.attempt_failed",
        "task.retry_scheduled",
    ]
    assert status(scene, task_id) == "queued"
    command = FireRetry(workspace_id=WORKSPACE, task_id=task_id, attempt=2)
    scene.when(command, actor=KERNEL).then_wires("task.started", "worktree.writer_locked", "run.requested")
    exited(scene, its_run(scene, session_id), code=1)
    assert status(scene, task_id) == "failed"


def test_entering_a_merge_asks_for_it_and_its_success_completes_the_task() -> None:
    scene = Scene()
    task_id, session_id = merging(scene)
    scene.when(CompleteTask(workspace_id=WORKSPACE, task_id=task_id)).refused("merge_under_way")
    merged(scene, session_id).then_wires("worktree.merged", "task.completed")
    assert status(scene, task_id) == "succeeded"


def test_a_merge_that_is_under_way_already_is_waited_for() -> None:
    scene = Scene()
    task_id, session_id, _ = at_work(scene)
    scene.when(MergeWorktree(workspace_id=WORKSPACE, worktree_id=its_tree(scene, session_id)))
    assert advanced(scene, task_id) == ["task.stage_changed"]
    merged(scene, session_id).then_wires("worktree.merged", "task.completed")


def test_a_merge_in_the_middle_leaves_the_task_to_go_on() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)
    stages = (stage("build"), stage("land", "merge"), stage("tell"))
    task_id = a_running_task(scene, project_id, stages=stages, session_id=session_id)
    advanced(scene, task_id)
    merged(scene, session_id).then_wires("worktree.merged")
    assert advanced(scene, task_id) == ["task.stage_changed"]
    scene.when(CompleteTask(workspace_id=WORKSPACE, task_id=task_id)).then_wires("task.completed")


def test_a_conflict_fails_the_attempt_and_the_next_one_merges_again() -> None:
    scene = Scene()
    task_id, session_id = merging(scene)
    conflicted(scene, session_id).then_wires("worktree.failed", "task.attempt_failed", "task.failed")
    outcome = scene.when(RetryTask(workspace_id=WORKSPACE, task_id=task_id))
    outcome.then_wires("task.started", "worktree.merge_requested")
    assert outcome.one(MergeRequested).generation == 2
    merged(scene, session_id).then_wires("worktree.merged", "task.completed")


def test_a_merge_needs_a_session_with_a_worktree_that_is_there() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_session(scene, project_id)
    deleted = a_running_task(scene, project_id, stages=MERGING, session_id=session_id)
    exited(scene, its_run(scene, session_id))
    scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=its_tree(scene, session_id)))
    nobodys = a_running_task(scene, project_id, stages=MERGING)
    for task_id in (nobodys, deleted):
        assert advanced(scene, task_id) == ["task.stage_changed", "task.attempt_failed", "task.failed"]


def test_whose_branch_it_is_does_not_change_under_a_merge() -> None:
    scene = Scene()
    task_id, session_id = merging(scene)
    other = a_session(scene, scene.state(TaskState, task_id).project_id)
    command = AssignTask(workspace_id=WORKSPACE, task_id=task_id, session_id=other)
    scene.when(command).refused("merge_under_way")
    conflicted(scene, session_id)
    scene.when(command).then_wires("task.assigned")


def test_how_the_agent_ends_does_not_matter_while_its_branch_is_merged() -> None:
    scene = Scene()
    task_id, session_id, run = at_work(scene)
    advanced(scene, task_id)
    assert "task.attempt_failed" not in exited(scene, run, code=1)
    merged(scene, session_id).then_wires("worktree.merged", "task.completed")


def test_a_merge_that_ends_during_a_pause_counts() -> None:
    scene = Scene()
    task_id, session_id = merging(scene)
    pause(scene, task_id)
    merged(scene, session_id).then_wires("worktree.merged", "task.completed")
    assert status(scene, task_id) == "succeeded"


def test_a_conflict_during_a_pause_counts() -> None:
    scene = Scene()
    task_id, session_id = merging(scene)
    pause(scene, task_id)
    conflicted(scene, session_id)
    assert status(scene, task_id) == "failed"


def test_a_run_that_ends_badly_during_a_pause_fails_the_attempt_and_the_retry_waits_for_the_end_of_it() -> (
    None
):
    scene = Scene()
    task_id, _, run = at_work(scene, TWICE)
    pause(scene, task_id)
    exited(scene, run, code=1)
    assert status(scene, task_id) == "paused"
    assert scene.timers() == []
    resume(scene, task_id)
    assert status(scene, task_id) == "queued"
    (timer,) = scene.timers()
    scene.when(timer.command, actor=KERNEL).then_wires(
        "task.started", "worktree.writer_locked", "run.requested"
    )


def test_what_the_agent_waits_for_is_known_when_a_pause_ends() -> None:
    scene = Scene()
    task_id, _, run = at_work(scene)
    pause(scene, task_id)
    observed(scene, run, "waiting_input")
    assert status(scene, task_id) == "paused"
    resume(scene, task_id)
    assert status(scene, task_id) == "awaiting_user_input"
    pause(scene, task_id)
    exited(scene, run)
    resume(scene, task_id)
    assert status(scene, task_id) == "running"


def test_a_worktree_that_could_not_be_made_fails_its_task_for_good() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_waiting_session(scene, project_id)
    task_id = a_running_task(scene, project_id, session_id=session_id, retry=TWICE)
    report = ReportFailed(
        workspace_id=WORKSPACE,
        worktree_id=its_tree(scene, session_id),
        operation="create",
        failure=FailureClass.WORKTREE_CONFLICT,
        reason="the branch is taken",
    )
    scene.when(report, actor=KERNEL).then_wires(
        "worktree.failed", "session.closed", "task.attempt_failed", "task.failed"
    )
    assert scene.row(TaskItem, task_id).failure == "dependency_failed: the branch is taken"


def test_nothing_moves_a_task_that_was_given_up() -> None:
    scene = Scene()
    task_id, session_id = merging(scene)
    scene.when(CancelTask(workspace_id=WORKSPACE, task_id=task_id))
    merged(scene, session_id).then_wires("worktree.merged")
    assert status(scene, task_id) == "cancelled"


def test_a_task_that_has_not_started_waits_for_nobody_and_fails_by_nobodys_run() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)
    task_id = a_task(scene, project_id, session_id=session_id)
    run = its_run(scene, session_id)
    observed(scene, run, "waiting_input")
    exited(scene, run, code=1)
    assert status(scene, task_id) == "queued"


def test_a_run_that_the_kernel_stopped_and_then_lost_has_failed_for_what_it_was_stopped_for() -> None:
    scene = Scene()
    task_id, _, run = at_work(scene, TWICE)
    stopped = RunStopRequested(run_id=run, reason="it gets nowhere", failure=FailureClass.NO_PROGRESS)
    scene.given(stopped)
    outcome = scene.when(ReportLost(workspace_id=WORKSPACE, run_id=run, evidence="no keeper"), actor=KERNEL)
    assert outcome.one(AttemptFailed).failure is FailureClass.NO_PROGRESS
    assert status(scene, task_id) == "failed"


@pytest.mark.parametrize("how", ["stopped", "exited", "signalled", "timed_out", "lost"])
def test_a_run_that_somebody_stopped_is_not_begun_again_however_it_ended(how: str) -> None:
    scene = Scene()
    task_id, _, run = at_work(scene, TWICE)
    scene.when(StopRun(workspace_id=WORKSPACE, run_id=run, reason="enough"))
    if how == "lost":
        report = ReportLost(workspace_id=WORKSPACE, run_id=run, evidence="no keeper")
        scene.when(report, actor=KERNEL).then_wires("run.lost", "worktree.writer_released")
    else:
        outcome = ended(scene, run, how, code=1 if how == "exited" else None)  # type: ignore[arg-type]
        outcome.then_wires("run.exited", "worktree.writer_released")
    assert status(scene, task_id) == "running"


def test_a_program_that_works_and_waits_again_in_one_breath_is_waited_for() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)
    run_id = its_run(scene, session_id)
    task_id = a_running_task(scene, project_id, session_id=session_id)
    rest = Sighting(status="waiting_input", rule="said_turn_end", rule_version=1, evidence="")

    def says(upto: int, *said: Said) -> None:
        report = ReportSaid(workspace_id=WORKSPACE, run_id=run_id, upto=upto, said=said, seen=rest)
        scene.when(report, actor=KERNEL)

    says(10, TurnBegan(), TurnEnded(how="done"))
    prompt_id = a_prompt(scene, session_id)
    placed = ReportPrompt(
        workspace_id=WORKSPACE, session_id=session_id, prompt_id=prompt_id, outcome="placed"
    )
    scene.when(placed, actor=KERNEL)

    says(20, TurnBegan(), PromptTaken(prompt_id=prompt_id), TurnEnded(how="done"))

    assert scene.state(TaskState, task_id).status() == "awaiting_user_input"
