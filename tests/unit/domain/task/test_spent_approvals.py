"""A yes opens the way once: who goes back, or does more, asks again."""

from __future__ import annotations

from moduprompt.domain.approval.commands import GrantApproval, RevokeApproval
from moduprompt.domain.approval.events import ApprovalSpent
from moduprompt.domain.approval.view import ApprovalItem
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.gate.commands import RequestApproval
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.gate.view import GateItem
from moduprompt.domain.task.commands import AdvanceStage, RetryTask
from moduprompt.domain.task.stages import StageSpec
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.commands import CommitWorktree, ReportCommitted, ReportFailed, ReportMerged
from moduprompt.protocol import Actor, ApprovalId, SessionId, TaskId
from tests.support.domain import KERNEL, OTHER, OWNER, WORKSPACE, Outcome, Scene
from tests.support.stories import (
    a_project,
    a_running_task,
    a_working_session,
    advanced,
    exited,
    its_run,
    its_tree,
    stage,
    waiting_approvals,
)

LANDING = (stage("implement"), stage("land", "merge", gates=1))


class Story:
    """A task of a session, and a person who says yes."""

    def __init__(self, stages: tuple[StageSpec, ...] = LANDING) -> None:
        self.scene = Scene()
        project_id = a_project(self.scene)
        self.session_id: SessionId = a_working_session(self.scene, project_id)
        exited(self.scene, its_run(self.scene, self.session_id))
        self.task_id: TaskId = a_running_task(
            self.scene, project_id, stages=stages, session_id=self.session_id
        )

    def proposes(self, to: str | None = None) -> Outcome:
        command = AdvanceStage(workspace_id=WORKSPACE, task_id=self.task_id, to=to)
        return self.scene.when(command, actor=Actor(kind="session", id=self.session_id))

    def says_yes(self, approval: ApprovalId | None = None, *, actor: Actor = OWNER) -> Outcome:
        asked = approval or waiting_approvals(self.scene)[0]
        return self.scene.when(GrantApproval(workspace_id=WORKSPACE, approval_id=asked), actor=actor)

    def is_merged(self, generation: int = 1) -> Outcome:
        report = ReportMerged(
            workspace_id=WORKSPACE,
            worktree_id=its_tree(self.scene, self.session_id),
            generation=generation,
            commit="feed",
            into="main",
        )
        return self.scene.when(report, actor=KERNEL)

    def conflicts(self) -> None:
        report = ReportFailed(
            workspace_id=WORKSPACE,
            worktree_id=its_tree(self.scene, self.session_id),
            operation="merge",
            failure=FailureClass.MERGE_CONFLICT,
            reason="both changed a.py",
        )
        self.scene.when(report, actor=KERNEL)

    def commits(self, *commits: str) -> Outcome:
        worktree_id = its_tree(self.scene, self.session_id)
        self.scene.when(CommitWorktree(workspace_id=WORKSPACE, worktree_id=worktree_id, message="more"))
        report = ReportCommitted(
            workspace_id=WORKSPACE,
            worktree_id=worktree_id,
            generation=1,
            head=commits[-1] if commits else "c0ffee",
            commits=commits,
            files_changed=len(commits),
        )
        return self.scene.when(report, actor=KERNEL)

    def gate(self) -> GateState:
        return next(iter(self.scene.world.related(GateState, self.task_id)))


def test_a_yes_opens_the_way_once() -> None:
    story = Story((stage("build"), stage("ship", gates=1), stage("tell")))
    advanced(story.scene, story.task_id)
    approval = waiting_approvals(story.scene)[0]
    story.says_yes()
    back = story.proposes("build")
    back.then_wires("task.stage_changed", "gate.blocked", "approval.spent")
    assert back.one(ApprovalSpent).approval_id == approval
    assert not story.gate().is_satisfied
    story.proposes("ship").then_wires("task.blocked", "approval.requested")
    assert story.scene.state(TaskState, story.task_id).stage == "build"
    shown = story.scene.row(ApprovalItem, approval)
    assert (shown.status, shown.decision_reason) == ("spent", "the task went back to build")
    assert story.scene.row(GateItem, story.gate().gate_id).status == "blocked"


def test_who_said_yes_before_is_asked_again_and_counts_again() -> None:
    story = Story((stage("build"), stage("ship", gates=1, needed=2)))
    advanced(story.scene, story.task_id)
    first = waiting_approvals(story.scene)[0]
    story.says_yes()
    story.says_yes(actor=OTHER)
    assert story.scene.state(TaskState, story.task_id).stage == "ship"
    story.proposes("build")
    story.proposes("ship")
    story.says_yes().then_wires("approval.granted", "approval.requested")
    assert not story.gate().is_satisfied
    story.scene.when(RevokeApproval(workspace_id=WORKSPACE, approval_id=first)).refused(
        "approval_not_granted"
    )
    story.says_yes(actor=OTHER)
    assert story.scene.state(TaskState, story.task_id).stage == "ship"


def test_half_of_what_a_gate_needs_is_spent_too() -> None:
    story = Story((stage("plan"), stage("build"), stage("ship", gates=1, needed=2)))
    advanced(story.scene, story.task_id)
    advanced(story.scene, story.task_id)
    story.says_yes()
    story.proposes("plan").then_wires("task.unblocked", "task.stage_changed", "approval.spent")
    advanced(story.scene, story.task_id, "ship")
    story.says_yes(actor=OTHER)
    assert not story.gate().is_satisfied


def test_a_yes_that_was_given_ahead_is_spent_by_going_back() -> None:
    story = Story((stage("plan"), stage("build"), stage("ship", gates=1)))
    advanced(story.scene, story.task_id)
    story.scene.when(RequestApproval(workspace_id=WORKSPACE, gate_id=story.gate().gate_id))
    story.says_yes()
    story.proposes("plan").then_wires("task.stage_changed", "gate.blocked", "approval.spent")


def test_a_gate_on_the_way_to_where_it_went_back_stays_open() -> None:
    story = Story((stage("plan"), stage("build", gates=1), stage("ship")))
    advanced(story.scene, story.task_id)
    story.says_yes()
    advanced(story.scene, story.task_id)
    story.proposes("build").then_wires("task.stage_changed")
    assert story.gate().is_satisfied


def test_a_task_stays_where_its_branch_is_being_merged() -> None:
    story = Story()
    advanced(story.scene, story.task_id)
    story.says_yes()
    story.proposes("implement").refused("merge_under_way")
    story.proposes().refused("merge_under_way")
    story.proposes("land").then_nothing()
    story.is_merged().then_wires("worktree.merged", "task.completed")


def test_what_was_merged_on_the_way_is_merged_again_with_a_new_yes_only() -> None:
    story = Story((*LANDING, stage("tell")))
    advanced(story.scene, story.task_id)
    story.says_yes()
    story.is_merged().then_wires("worktree.merged")
    story.proposes("implement").then_wires("task.stage_changed", "gate.blocked", "approval.spent")
    story.proposes("land").then_wires("task.blocked", "approval.requested")


def test_what_is_committed_after_a_yes_that_was_given_ahead_asks_for_a_new_one() -> None:
    story = Story()
    story.scene.when(RequestApproval(workspace_id=WORKSPACE, gate_id=story.gate().gate_id))
    story.says_yes()
    story.commits("f00d").then_wires("worktree.committed", "gate.blocked", "approval.spent")
    story.proposes().then_wires("task.blocked", "approval.requested")
    story.says_yes()
    assert story.scene.state(TaskState, story.task_id).stage == "land"


def test_a_commit_with_nothing_in_it_spends_no_yes() -> None:
    story = Story()
    story.scene.when(RequestApproval(workspace_id=WORKSPACE, gate_id=story.gate().gate_id))
    story.says_yes()
    story.commits().then_wires("worktree.committed")
    story.proposes().then_wires("task.stage_changed", "worktree.merge_requested")


def test_a_commit_while_another_gate_holds_asks_who_had_said_yes_anew() -> None:
    story = Story((stage("implement"), stage("land", "merge", gates=2)))
    advanced(story.scene, story.task_id)
    first, second = waiting_approvals(story.scene)
    story.says_yes(first)
    outcome = story.commits("f00d")
    outcome.then_wires("worktree.committed", "gate.blocked", "approval.spent", "approval.requested")
    story.says_yes(second)
    assert story.scene.state(TaskState, story.task_id).stage == "implement"
    story.says_yes()
    assert story.scene.state(TaskState, story.task_id).stage == "land"


def test_what_is_committed_after_a_conflict_is_merged_with_a_new_yes_only() -> None:
    story = Story()
    advanced(story.scene, story.task_id)
    story.says_yes()
    story.conflicts()
    story.commits("f00d").then_wires("worktree.committed", "gate.blocked", "approval.spent")
    retry = RetryTask(workspace_id=WORKSPACE, task_id=story.task_id)
    story.scene.when(retry).then_wires("task.started", "task.blocked", "approval.requested")
    assert "worktree.merge_requested" in [event.wire for event in story.says_yes().events]
    story.is_merged(2).then_wires("worktree.merged", "task.completed")


def test_what_conflicted_is_merged_again_with_the_same_yes_where_nothing_was_added() -> None:
    story = Story()
    advanced(story.scene, story.task_id)
    story.says_yes()
    story.conflicts()
    retry = RetryTask(workspace_id=WORKSPACE, task_id=story.task_id)
    story.scene.when(retry).then_wires("task.started", "worktree.merge_requested")
