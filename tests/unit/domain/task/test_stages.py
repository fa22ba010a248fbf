"""Moving between stages: what holds a task, what carries it on, and what a no does."""

from __future__ import annotations

import pytest

from moduprompt.domain.approval.commands import DenyApproval, GrantApproval, RevokeApproval
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.gate.commands import RequestApproval, SatisfyGate
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.task.commands import (
    AdvanceStage,
    CompleteTask,
    PauseTask,
    ResumeTask,
    RetryTask,
    StartTask,
)
from moduprompt.domain.task.events import AttemptFailed, StageChanged, TaskBlocked, TaskUnblocked
from moduprompt.domain.task.stages import GateSpec, StageSpec
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.task.view import TaskItem
from moduprompt.protocol import ApprovalId, GateId, TaskId
from tests.support.domain import KERNEL, OTHER, WORKSPACE, Outcome, Scene
from tests.support.stories import a_project, a_running_task, a_task, advanced, stage, waiting_approvals

GATED = (stage("build"), stage("test"), stage("ship", gates=1))


def propose(scene: Scene, task_id: TaskId, to: str | None = None) -> Outcome:
    return scene.when(AdvanceStage(workspace_id=WORKSPACE, task_id=task_id, to=to))


def gates(scene: Scene, task_id: TaskId) -> list[GateId]:
    return [gate.gate_id for gate in scene.world.related(GateState, task_id)]


def grant(scene: Scene, approval: ApprovalId) -> Outcome:
    return scene.when(GrantApproval(workspace_id=WORKSPACE, approval_id=approval))


def deny(scene: Scene, approval: ApprovalId) -> Outcome:
    return scene.when(DenyApproval(workspace_id=WORKSPACE, approval_id=approval, reason="not like this"))


def revoke(scene: Scene, approval: ApprovalId) -> Outcome:
    return scene.when(RevokeApproval(workspace_id=WORKSPACE, approval_id=approval))


def place(scene: Scene, task_id: TaskId) -> tuple[str | None, str, str | None]:
    row = scene.row(TaskItem, task_id)
    own = scene.state(TaskState, task_id)
    assert (row.stage, row.status, row.proposed) == (own.stage, own.status(), own.proposed)
    return own.stage, own.status(), own.proposed


def a_held_task(scene: Scene, *, needed: int = 1) -> TaskId:
    stages = (stage("build"), stage("ship", gates=1, needed=needed))
    task_id = a_running_task(scene, a_project(scene), stages=stages)
    assert advanced(scene, task_id) == ["task.blocked", "approval.requested"]
    return task_id


def test_a_task_moves_to_the_next_stage_or_to_the_one_named() -> None:
    scene = Scene()
    stages = tuple(stage(name) for name in ("a", "b", "c", "d"))
    task_id = a_running_task(scene, a_project(scene), stages=stages)
    propose(scene, task_id).then(StageChanged(task_id=task_id, stage="b", before="a"))
    propose(scene, task_id, "d").then(StageChanged(task_id=task_id, stage="d", before="b"))
    propose(scene, task_id, "a").then(StageChanged(task_id=task_id, stage="a", before="d"))
    propose(scene, task_id, "a").then_nothing()


def test_a_proposal_makes_sense_for_a_running_task_and_a_stage_that_it_has() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene), stages=GATED)
    propose(scene, task_id).refused("task_not_running")
    scene.when(StartTask(workspace_id=WORKSPACE, task_id=task_id))
    propose(scene, task_id, "nowhere").refused("no_such_stage")


def test_there_is_nothing_after_the_last_stage() -> None:
    scene = Scene()
    propose(scene, a_running_task(scene, a_project(scene), stages=(stage("a"),))).refused("last_stage")


def test_a_gate_holds_the_proposal_and_says_which_and_asks_who_can_open_it() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), stages=GATED)
    (gate,) = gates(scene, task_id)
    outcome = propose(scene, task_id, "ship")
    assert outcome.events[0] == TaskBlocked(task_id=task_id, by="approval", stage="ship", gate_ids=(gate,))
    outcome.then_wires("task.blocked", "approval.requested")
    assert place(scene, task_id) == ("build", "blocked_by_approval", "ship")
    assert scene.row(TaskItem, task_id).waits_for == (gate,)
    propose(scene, task_id, "ship").then_nothing()


def test_the_proposal_is_carried_out_when_the_gate_opens() -> None:
    scene = Scene()
    task_id = a_held_task(scene)
    outcome = grant(scene, waiting_approvals(scene)[0])
    outcome.then_wires("approval.granted", "gate.satisfied", "task.unblocked", "task.stage_changed")
    assert place(scene, task_id) == ("ship", "running", None)
    assert scene.row(TaskItem, task_id).waits_for == ()


def test_every_gate_on_the_way_must_open() -> None:
    scene = Scene()
    stages = (stage("build"), stage("review", gates=1), stage("ship", gates=1))
    task_id = a_running_task(scene, a_project(scene), stages=stages)
    assert advanced(scene, task_id, "ship") == ["task.blocked", "approval.requested", "approval.requested"]
    first, second = waiting_approvals(scene)
    grant(scene, first).then_wires("approval.granted", "gate.satisfied")
    assert place(scene, task_id)[0] == "build"
    grant(scene, second)
    assert place(scene, task_id)[0] == "ship"


def test_a_gate_that_was_opened_ahead_holds_nothing() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), stages=(stage("build"), stage("ship", gates=1)))
    scene.when(RequestApproval(workspace_id=WORKSPACE, gate_id=gates(scene, task_id)[0]))
    grant(scene, waiting_approvals(scene)[0]).then_wires("approval.granted", "gate.satisfied")
    assert advanced(scene, task_id) == ["task.stage_changed"]


def test_a_gate_for_a_machine_holds_and_lets_go_without_asking_people() -> None:
    scene = Scene()
    ship = StageSpec(name="ship", kind="implement", gates=(GateSpec(kind="webhook_wait"),))
    task_id = a_running_task(scene, a_project(scene), stages=(stage("build"), ship))
    assert advanced(scene, task_id) == ["task.blocked"]
    command = SatisfyGate(workspace_id=WORKSPACE, gate_id=gates(scene, task_id)[0], evidence="it came")
    scene.when(command, actor=KERNEL).then_wires("gate.satisfied", "task.unblocked", "task.stage_changed")


def test_a_gate_in_front_of_the_first_stage_holds_the_start() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene), stages=(stage("build", gates=1), stage("ship", "merge")))
    outcome = scene.when(StartTask(workspace_id=WORKSPACE, task_id=task_id))
    outcome.then_wires("task.started", "task.blocked", "approval.requested")
    assert place(scene, task_id) == (None, "blocked_by_approval", "build")
    grant(scene, waiting_approvals(scene)[0])
    assert place(scene, task_id) == ("build", "running", None)


def test_a_denied_start_stands_before_the_gate_again_when_it_is_retried() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene), stages=(stage("build", gates=1),))
    scene.when(StartTask(workspace_id=WORKSPACE, task_id=task_id))
    deny(scene, waiting_approvals(scene)[0])
    scene.when(RetryTask(workspace_id=WORKSPACE, task_id=task_id)).then_wires(
        "task.started", "task.blocked", "approval.requested"
    )


def test_going_back_is_free_and_takes_the_proposal_back() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), stages=GATED)
    advanced(scene, task_id)
    advanced(scene, task_id)
    assert place(scene, task_id) == ("test", "blocked_by_approval", "ship")
    propose(scene, task_id, "build").then(
        TaskUnblocked(task_id=task_id, by="approval"),
        StageChanged(task_id=task_id, stage="build", before="test"),
    )
    assert place(scene, task_id) == ("build", "running", None)
    grant(scene, waiting_approvals(scene)[0]).then_wires("approval.granted", "gate.satisfied")


def test_a_no_fails_the_attempt_and_asking_again_asks_anew() -> None:
    scene = Scene()
    task_id = a_held_task(scene)
    outcome = deny(scene, waiting_approvals(scene)[0])
    outcome.then_wires("approval.denied", "task.unblocked", "task.attempt_failed", "task.failed")
    failed = outcome.one(AttemptFailed)
    assert (failed.failure, failed.reason) == (FailureClass.APPROVAL_DENIED, "not like this")
    scene.when(RetryTask(workspace_id=WORKSPACE, task_id=task_id))
    assert advanced(scene, task_id) == ["task.blocked", "approval.requested"]


def test_a_no_to_what_nobody_proposed_fails_nothing() -> None:
    scene = Scene()
    stages = (stage("build"), stage("review", gates=1), stage("ship", gates=1))
    task_id = a_running_task(scene, a_project(scene), stages=stages)
    scene.when(RequestApproval(workspace_id=WORKSPACE, gate_id=gates(scene, task_id)[1]))
    ahead = waiting_approvals(scene)[0]
    advanced(scene, task_id, "review")
    deny(scene, ahead).then_wires("approval.denied")
    assert place(scene, task_id) == ("build", "blocked_by_approval", "review")


def test_an_approval_taken_back_while_another_gate_holds_is_asked_for_again() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), stages=(stage("build"), stage("ship", gates=2)))
    advanced(scene, task_id)
    first, second = waiting_approvals(scene)
    grant(scene, first)
    revoke(scene, first).then_wires("approval.revoked", "gate.blocked", "approval.requested")
    grant(scene, second).then_wires("approval.granted", "gate.satisfied")
    assert place(scene, task_id)[1] == "blocked_by_approval"
    grant(scene, waiting_approvals(scene)[0])
    assert place(scene, task_id) == ("ship", "running", None)


def test_an_approval_taken_back_after_the_stage_was_entered_closes_the_way_for_the_next_time() -> None:
    scene = Scene()
    task_id = a_held_task(scene)
    approval = waiting_approvals(scene)[0]
    grant(scene, approval)
    revoke(scene, approval).then_wires("approval.revoked", "gate.blocked")
    assert place(scene, task_id) == ("ship", "running", None)
    advanced(scene, task_id, "build")
    assert advanced(scene, task_id) == ["task.blocked", "approval.requested"]


def test_a_gate_that_needs_two_people_lets_go_with_the_second() -> None:
    scene = Scene()
    task_id = a_held_task(scene, needed=2)
    grant(scene, waiting_approvals(scene)[0]).then_wires("approval.granted", "approval.requested")
    assert place(scene, task_id)[1] == "blocked_by_approval"
    command = GrantApproval(workspace_id=WORKSPACE, approval_id=waiting_approvals(scene)[0])
    scene.when(command, actor=OTHER)
    assert place(scene, task_id) == ("ship", "running", None)


def test_a_gate_that_opens_during_a_pause_lets_go_when_the_pause_ends() -> None:
    scene = Scene()
    task_id = a_held_task(scene)
    scene.when(PauseTask(workspace_id=WORKSPACE, task_id=task_id))
    grant(scene, waiting_approvals(scene)[0]).then_wires("approval.granted", "gate.satisfied")
    assert place(scene, task_id) == ("build", "paused", "ship")
    scene.when(ResumeTask(workspace_id=WORKSPACE, task_id=task_id)).then_wires(
        "task.resumed", "task.unblocked", "task.stage_changed"
    )
    assert place(scene, task_id) == ("ship", "running", None)


def test_a_no_during_a_pause_fails_the_attempt() -> None:
    scene = Scene()
    task_id = a_held_task(scene)
    scene.when(PauseTask(workspace_id=WORKSPACE, task_id=task_id))
    deny(scene, waiting_approvals(scene)[0])
    assert place(scene, task_id) == ("build", "failed", None)


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_pause_that_ends_leaves_a_closed_gate_closed(*, is_closed: bool) -> None:
    scene = Scene()
    task_id = a_held_task(scene) if is_closed else a_running_task(scene, a_project(scene))
    scene.when(PauseTask(workspace_id=WORKSPACE, task_id=task_id))
    scene.when(PauseTask(workspace_id=WORKSPACE, task_id=task_id)).then_nothing()
    propose(scene, task_id).refused("task_not_running")
    scene.when(ResumeTask(workspace_id=WORKSPACE, task_id=task_id)).then_wires("task.resumed")
    scene.when(ResumeTask(workspace_id=WORKSPACE, task_id=task_id)).then_nothing()
    assert place(scene, task_id)[1] == ("blocked_by_approval" if is_closed else "running")


def test_a_task_that_is_held_does_not_complete() -> None:
    scene = Scene()
    task_id = a_held_task(scene)
    scene.when(CompleteTask(workspace_id=WORKSPACE, task_id=task_id)).refused("task_not_running")
