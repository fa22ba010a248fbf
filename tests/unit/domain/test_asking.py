"""What a program says while questions of its are open: who waits for a word is blocked, and nobody else is."""

from __future__ import annotations

import pytest

from moduprompt.domain.approval.commands import AnswerEnd, DenyApproval, GrantApproval, ReportAnswered
from moduprompt.domain.run.commands import ObservedStatus, ReportSaid, Sighting
from moduprompt.domain.run.events import RunPermissionWithdrawn, RunStatusObserved
from moduprompt.domain.run.said import (
    PermissionAsked,
    PermissionOption,
    PermissionWithdrawn,
    PromptTaken,
    Said,
    ToolEnded,
    TurnBegan,
    TurnEnded,
)
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import PromptSession, ReportPrompt
from moduprompt.domain.session.events import PromptAccepted, TurnObserved
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import ApprovalId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import (
    a_project,
    a_running_task,
    a_working_session,
    exited,
    its_run,
    waiting_approvals,
)

ENDED = ToolEnded(call_id="c", how="done")


def asked(name: str, *, tool: str = "Write") -> PermissionAsked:
    options = (
        PermissionOption(id="y", kind="allow_once", label="Yes"),
        PermissionOption(id="n", kind="reject_once", label="No"),
    )
    return PermissionAsked(request_id=name, tool=tool, arguments_digest="0" * 64, options=options)


class Story:
    """A program at work on a task, which asks."""

    def __init__(self, *questions: str) -> None:
        self.scene = Scene()
        project_id = a_project(self.scene)
        self.session_id = a_working_session(self.scene, project_id)
        self.run_id = its_run(self.scene, self.session_id)
        self.task_id = a_running_task(self.scene, project_id, session_id=self.session_id)
        self.says(
            TurnBegan(),
            *map(asked, questions),
            seen="blocked_on_permission" if questions else "working",
        )

    def says(self, *said: Said, seen: ObservedStatus | None = None) -> Outcome:
        sighting = None if seen is None else Sighting(status=seen, rule="said", rule_version=1, evidence="")
        report = ReportSaid(
            workspace_id=WORKSPACE,
            run_id=self.run_id,
            upto=self.scene.state(RunState, self.run_id).said_upto + 1,
            said=said,
            seen=sighting,
        )
        return self.scene.when(report, actor=KERNEL)

    def grants(self, approval_id: ApprovalId) -> None:
        self.scene.when(GrantApproval(workspace_id=WORKSPACE, approval_id=approval_id))

    def is_answered(self, approval_id: ApprovalId, how: AnswerEnd = "given") -> Outcome:
        report = ReportAnswered(
            workspace_id=WORKSPACE, approval_id=approval_id, how=how, evidence="it was sent"
        )
        return self.scene.when(report, actor=KERNEL)

    def seen(self) -> tuple[str, str]:
        """What its run does, and how its task stands by that."""
        run = self.scene.state(RunState, self.run_id)
        return run.observed, self.scene.state(TaskState, self.task_id).status()


BLOCKED = ("blocked_on_permission", "awaiting_user_input")
WORKS = ("working", "running")


def test_a_program_that_goes_on_with_one_thing_is_blocked_while_another_waits_for_a_word() -> None:
    story = Story("r1", "r2")
    first, second = waiting_approvals(story.scene)
    story.grants(first)
    story.is_answered(first)

    story.says(ENDED, seen="working").then_wires("run.tool_ended")

    assert story.seen() == BLOCKED
    story.grants(second)
    story.is_answered(second)
    assert story.seen() == WORKS


def test_who_asks_and_works_in_one_breath_is_blocked() -> None:
    story = Story()

    observed = story.says(asked("r1"), ENDED, seen="working").one(RunStatusObserved)

    assert (observed.status, observed.rule) == ("blocked_on_permission", "said_permission")


@pytest.mark.parametrize("order", [GrantApproval, DenyApproval])
def test_who_has_the_word_it_waited_for_works_before_it_says_anything(
    order: type[GrantApproval | DenyApproval],
) -> None:
    story = Story("r1")
    (approval,) = waiting_approvals(story.scene)
    story.scene.when(order(workspace_id=WORKSPACE, approval_id=approval))
    assert story.seen() == BLOCKED, "it has not been told yet"

    story.is_answered(approval).then_wires("approval.answered", "run.status_observed", "task.unblocked")

    assert story.seen() == WORKS


def test_a_word_that_came_too_late_shows_nothing() -> None:
    story = Story("r1")
    (approval,) = waiting_approvals(story.scene)
    story.grants(approval)

    story.is_answered(approval, "not_taken").then_wires("approval.answered")

    assert story.seen() == BLOCKED


def test_the_word_to_one_that_waits_for_its_next_prompt_by_now_changes_nothing() -> None:
    story = Story("r1")
    (approval,) = waiting_approvals(story.scene)
    story.grants(approval)
    story.says(TurnEnded(how="done"), seen="waiting_input")

    story.is_answered(approval).then_wires("approval.answered")

    assert story.seen()[0] == "waiting_input"


def test_the_word_to_one_that_has_ended_changes_nothing() -> None:
    story = Story("r1")
    (approval,) = waiting_approvals(story.scene)
    story.grants(approval)
    exited(story.scene, story.run_id)

    story.is_answered(approval).then_wires("approval.answered")

    assert story.seen()[0] == "exited"


def test_a_word_that_was_given_is_no_sign_that_a_prompt_has_arrived() -> None:
    story = Story("r1")
    (approval,) = waiting_approvals(story.scene)
    prompt = story.scene.when(
        PromptSession(workspace_id=WORKSPACE, session_id=story.session_id, prompt="also this")
    ).one(PromptAccepted)
    for outcome in ("placed", "submitted"):
        report = ReportPrompt(
            workspace_id=WORKSPACE,
            session_id=story.session_id,
            prompt_id=prompt.prompt_id,
            outcome=outcome,  # type: ignore[arg-type]  # one of the two
            run_id=story.run_id,
            output_bytes=1_000,
        )
        story.scene.when(report, actor=KERNEL)
    story.grants(approval)

    assert not [each for each in story.is_answered(approval).events if isinstance(each, TurnObserved)]


def test_a_prompt_that_is_taken_while_a_question_is_open_does_not_make_it_look_busy() -> None:
    story = Story("r1")
    prompt = story.scene.when(
        PromptSession(workspace_id=WORKSPACE, session_id=story.session_id, prompt="also this")
    ).one(PromptAccepted)
    report = ReportPrompt(
        workspace_id=WORKSPACE, session_id=story.session_id, prompt_id=prompt.prompt_id, outcome="placed"
    )
    story.scene.when(report, actor=KERNEL)

    outcome = story.says(PromptTaken(prompt_id=prompt.prompt_id), seen="working")

    outcome.then_wires("session.prompt_submitted", "session.turn_observed")
    assert story.seen() == BLOCKED


def test_a_question_that_is_taken_back_leaves_the_others_open() -> None:
    story = Story("r1", "r2")

    story.says(PermissionWithdrawn(request_id="r1"), seen="working").then_wires(
        "run.permission_withdrawn", "approval.withdrawn"
    )

    assert story.seen() == BLOCKED
    story.says(PermissionWithdrawn(request_id="r2"), seen="working")
    assert story.seen() == WORKS


def test_a_question_that_was_decided_is_not_taken_back_again() -> None:
    story = Story("r1")
    (approval,) = waiting_approvals(story.scene)
    story.grants(approval)

    outcome = story.says(PermissionWithdrawn(request_id="r1"), ENDED, seen="working")

    assert not [each for each in outcome.events if isinstance(each, RunPermissionWithdrawn)]
    assert story.seen() == WORKS


@pytest.mark.parametrize(
    "breath",
    [
        (asked("r1"), PermissionWithdrawn(request_id="r1"), asked("r1", tool="Bash")),
        (asked("r1"), asked("r1")),
    ],
)
def test_what_is_asked_twice_in_one_breath_is_one_question(breath: tuple[Said, ...]) -> None:
    story = Story()

    story.says(*breath, seen="blocked_on_permission")

    assert len(waiting_approvals(story.scene)) == 1
