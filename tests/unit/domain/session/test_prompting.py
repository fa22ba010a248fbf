"""A prompt's way: taken back, held, typed, seen to arrive, or said again by a person."""

from __future__ import annotations

import pytest

from moduprompt.domain.run.intents import TypePrompt, WatchTurn
from moduprompt.domain.session.commands import (
    CancelPrompt,
    HeldBy,
    PromptSession,
    ReportPrompt,
    ReportPromptHeld,
    ReportTurn,
    ResendPrompt,
)
from moduprompt.domain.session.events import (
    PromptAccepted,
    PromptCancelled,
    PromptHeld,
    PromptSubmitted,
    TurnObserved,
)
from moduprompt.domain.session.state import UNCERTAIN_MAX, SessionState
from moduprompt.domain.session.view import PromptItem, SessionItem
from moduprompt.protocol import PromptId, RunId, SessionId, UserId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene, an_id, text_ref
from tests.support.stories import a_prompt, a_session, a_working_session, exited, its_run, observed

ADA = UserId(an_id(77))


class Story:
    """A session whose program waits for input."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.session_id: SessionId = a_working_session(self.scene)
        self.run_id: RunId = its_run(self.scene, self.session_id)
        observed(self.scene, self.run_id, "waiting_input")

    def prompt(self, text: str = "go on") -> PromptId:
        return a_prompt(self.scene, self.session_id, text)

    def report(self, prompt_id: PromptId, outcome: str) -> Outcome:
        is_typed = outcome == "submitted"
        command = ReportPrompt(
            workspace_id=WORKSPACE,
            session_id=self.session_id,
            prompt_id=prompt_id,
            outcome=outcome,  # type: ignore[arg-type]  # each test names one of the three
            evidence="as it is" if outcome == "uncertain" else "",
            run_id=self.run_id if is_typed else None,
            output_bytes=40 if is_typed else None,
        )
        return self.scene.when(command, actor=KERNEL)

    def held(self, prompt_id: PromptId, *, by: HeldBy = "draft", user_id: UserId | None = ADA) -> Outcome:
        command = ReportPromptHeld(
            workspace_id=WORKSPACE,
            session_id=self.session_id,
            prompt_id=prompt_id,
            by=by,
            evidence="a half-typed line",
            user_id=user_id,
        )
        return self.scene.when(command, actor=KERNEL)

    def turn(self, prompt_id: PromptId) -> Outcome:
        command = ReportTurn(
            workspace_id=WORKSPACE,
            session_id=self.session_id,
            prompt_id=prompt_id,
            rule="input_read",
            rule_version=1,
            evidence="read",
        )
        return self.scene.when(command, actor=KERNEL)

    def cancel(self, prompt_id: PromptId) -> Outcome:
        command = CancelPrompt(
            workspace_id=WORKSPACE, session_id=self.session_id, prompt_id=prompt_id, reason="too late"
        )
        return self.scene.when(command)

    def resend(self, prompt_id: PromptId) -> Outcome:
        command = ResendPrompt(workspace_id=WORKSPACE, session_id=self.session_id, prompt_id=prompt_id)
        return self.scene.when(command)

    def typing(self) -> list[PromptId]:
        return [each.prompt_id for each in self.scene.intents() if isinstance(each, TypePrompt)]

    def watching(self) -> list[tuple[PromptId, int]]:
        found = [each for each in self.scene.intents() if isinstance(each, WatchTurn)]
        return [(each.prompt_id, each.output_bytes) for each in found]

    def shown(self, prompt_id: PromptId) -> PromptItem:
        row = self.scene.row(SessionItem, self.session_id)
        return next(each for each in row.prompts if each.prompt_id == prompt_id)


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_prompt_is_taken_back_before_it_is_placed_and_the_next_one_is_typed(story: Story) -> None:
    first, second = story.prompt("one"), story.prompt("two")
    assert story.typing() == [first]
    story.cancel(first).then(PromptCancelled(session_id=story.session_id, prompt_id=first, reason="too late"))
    assert story.typing() == [second]
    assert story.shown(first).state == "cancelled"
    story.report(first, "placed").then_nothing()
    story.cancel(first).refused("prompt_not_waiting")


def test_a_prompt_at_the_keyboard_is_not_taken_back(story: Story) -> None:
    prompt_id = story.prompt()
    story.report(prompt_id, "placed")
    story.cancel(prompt_id).refused("prompt_placed")
    assert story.typing() == [prompt_id]


def test_the_order_of_those_that_wait_stays_when_one_in_the_middle_goes(story: Story) -> None:
    first, second, third = (story.prompt(text) for text in ("one", "two", "three"))
    story.cancel(second)
    waiting = story.scene.state(SessionState, story.session_id).prompts
    assert [each.prompt_id for each in waiting] == [first, third]


def test_a_prompt_that_waits_says_for_whom_once_for_each_reason(story: Story) -> None:
    prompt_id = story.prompt()
    story.held(prompt_id).then(
        PromptHeld(
            session_id=story.session_id,
            prompt_id=prompt_id,
            by="draft",
            evidence="a half-typed line",
            user_id=ADA,
        )
    )
    story.held(prompt_id).then_nothing()
    shown = story.shown(prompt_id)
    assert (shown.state, shown.held_by, shown.holder) == ("accepted", "draft", ADA)
    story.held(prompt_id, by="dialog", user_id=None).then_wires("session.prompt_held")
    assert story.typing() == [prompt_id]
    story.report(prompt_id, "placed")
    shown = story.shown(prompt_id)
    assert (shown.state, shown.held_by, shown.holder) == ("placed", None, None)


def test_a_turn_is_observed_once_and_only_of_what_was_typed_last(story: Story) -> None:
    prompt_id = story.prompt()
    story.turn(prompt_id).then_nothing()
    story.report(prompt_id, "placed")
    story.turn(prompt_id).then_nothing()
    story.report(prompt_id, "submitted")
    assert story.watching() == [(prompt_id, 40)]
    story.turn(prompt_id).then(
        TurnObserved(
            session_id=story.session_id,
            prompt_id=prompt_id,
            rule="input_read",
            rule_version=1,
            evidence="read",
        )
    )
    story.turn(prompt_id).then_nothing()
    assert story.watching() == []
    shown = story.shown(prompt_id)
    assert (shown.state, shown.rule, shown.evidence) == ("turn_observed", "input_read", "read")


def test_a_program_that_asks_again_has_taken_what_it_was_told(story: Story) -> None:
    prompt_id = story.prompt()
    story.report(prompt_id, "placed")
    story.report(prompt_id, "submitted").then_wires("session.prompt_submitted", "run.status_observed")
    observed(story.scene, story.run_id, "waiting_input")
    assert [event.wire for event in story.scene.history[-2:]] == [
        "run.status_observed",
        "session.turn_observed",
    ]
    assert story.watching() == []


def test_a_screen_of_which_nobody_can_say_what_it_shows_is_no_sign_of_a_turn(story: Story) -> None:
    prompt = story.prompt("first")
    story.report(prompt, "placed")
    story.report(prompt, "submitted")

    observed(story.scene, story.run_id, "unknown")
    assert not [each for each in story.scene.history if isinstance(each, TurnObserved)]

    observed(story.scene, story.run_id, "waiting_input")
    assert [each.prompt_id for each in story.scene.history if isinstance(each, TurnObserved)] == [prompt]


def test_a_turn_is_not_looked_for_in_the_next_run(story: Story) -> None:
    prompt_id = story.prompt()
    story.report(prompt_id, "placed")
    story.report(prompt_id, "submitted")
    exited(story.scene, story.run_id)
    assert story.watching() == []


def test_a_submitted_prompt_of_an_older_log_is_not_looked_for(story: Story) -> None:
    prompt_id = story.prompt()
    command = ReportPrompt(
        workspace_id=WORKSPACE, session_id=story.session_id, prompt_id=prompt_id, outcome="submitted"
    )
    story.scene.when(command, actor=KERNEL)
    assert story.watching() == []
    submitted = [event for event in story.scene.history if isinstance(event, PromptSubmitted)]
    assert [(each.run_id, each.output_bytes) for each in submitted] == [(None, None)]


def test_what_is_uncertain_is_said_again_by_a_person_once_as_a_prompt_of_its_own(story: Story) -> None:
    prompt_id = story.prompt("careful")
    story.resend(prompt_id).refused("prompt_not_uncertain")
    story.report(prompt_id, "placed")
    story.report(prompt_id, "uncertain")
    assert story.typing() == []
    again = story.resend(prompt_id).one(PromptAccepted)
    assert (again.resend_of, again.prompt) == (prompt_id, text_ref("careful"))
    assert again.prompt_id != prompt_id
    assert story.typing() == [again.prompt_id]
    story.resend(prompt_id).refused("prompt_not_uncertain")


def test_what_is_uncertain_is_remembered_up_to_a_bound(story: Story) -> None:
    ids = [story.prompt() for _ in range(UNCERTAIN_MAX + 1)]
    for each in ids:
        story.report(each, "uncertain")
    story.resend(ids[0]).refused("prompt_not_uncertain")
    story.resend(ids[1]).then_wires("session.prompt_accepted")


def test_a_program_at_rest_is_told_what_waits(story: Story) -> None:
    observed(story.scene, story.run_id, "idle")
    prompt_id = story.prompt()
    assert story.typing() == [prompt_id]
    story.report(prompt_id, "placed")
    story.report(prompt_id, "submitted").then_wires("session.prompt_submitted", "run.status_observed")


def test_an_agent_that_can_not_be_steered_is_not() -> None:
    scene = Scene()
    command = PromptSession(
        workspace_id=WORKSPACE, session_id=a_session(scene), prompt="left, not right", steer=True
    )
    scene.when(command).refused("cannot_steer")
