"""An interrupt's way: asked for, placed, sent, and what is seen of the turn that it was to end."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import (
    ReportExited,
    ReportLost,
    ReportSaid,
    ReportStarted,
    Sighting,
    StopRun,
    TurnAbility,
)
from moduprompt.domain.run.events import RunExited
from moduprompt.domain.run.intents import InterruptTurn, TypePrompt, WatchTurn
from moduprompt.domain.run.said import PromptTaken, Said, TurnBegan, TurnEnd, TurnEnded
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import (
    CloseSession,
    FireInterruptDue,
    InterruptOutcome,
    InterruptSession,
    PromptSession,
    ReportInterrupt,
    ReportPrompt,
)
from moduprompt.domain.session.events import (
    InterruptNotTaken,
    InterruptRequested,
    InterruptSent,
    InterruptUncertain,
    PromptAccepted,
    SessionInterrupted,
    TurnObserved,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.session.view import PromptItem, SessionItem
from moduprompt.domain.turns import SEEN_S_MAX
from moduprompt.protocol import InterruptId, PromptId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import a_prompt, a_session, a_working_session, exited, its_run, observed


class Story:
    """A session whose program is in a turn."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.session_id = a_working_session(self.scene)
        self.run_id = its_run(self.scene, self.session_id)
        observed(self.scene, self.run_id, "working")
        self._printed = 0

    def interrupt(self) -> Outcome:
        return self.scene.when(InterruptSession(workspace_id=WORKSPACE, session_id=self.session_id))

    def interrupted(self) -> InterruptId:
        return self.interrupt().one(InterruptRequested).interrupt_id

    def report(self, interrupt_id: InterruptId, outcome: InterruptOutcome, evidence: str = "") -> Outcome:
        command = ReportInterrupt(
            workspace_id=WORKSPACE,
            session_id=self.session_id,
            interrupt_id=interrupt_id,
            outcome=outcome,
            evidence=evidence,
        )
        return self.scene.when(command, actor=KERNEL)

    def sent(self) -> InterruptId:
        interrupt_id = self.interrupted()
        for outcome in ("placed", "sent"):
            self.report(interrupt_id, outcome)
        return interrupt_id

    def says(self, *said: Said, seen: Sighting | None = None) -> Outcome:
        self._printed += 10
        command = ReportSaid(
            workspace_id=WORKSPACE, run_id=self.run_id, upto=self._printed, said=said, seen=seen
        )
        return self.scene.when(command, actor=KERNEL)

    def ends(
        self, *, code: int | None = None, signal: int | None = None, failure: FailureClass | None = None
    ) -> Outcome:
        command = ReportExited(
            workspace_id=WORKSPACE,
            run_id=self.run_id,
            how="exited" if signal is None else "signalled",
            code=code,
            signal=signal,
            outcome="failed" if failure else None,
            failure=failure,
        )
        return self.scene.when(command, actor=KERNEL)

    def state(self) -> str | None:
        shown = self.scene.row(SessionItem, self.session_id).interrupt
        return None if shown is None else shown.state


@pytest.fixture
def story() -> Story:
    return Story()


def test_an_interrupt_names_its_run_and_the_turn_that_shall_end(story: Story) -> None:
    story.says(TurnBegan())
    requested = story.interrupt().one(InterruptRequested)
    assert (requested.run_id, requested.turn) == (story.run_id, 1)
    wanted = [each for each in story.scene.intents() if isinstance(each, InterruptTurn)]
    assert [(each.interrupt_id, each.is_placed) for each in wanted] == [(requested.interrupt_id, False)]


def test_asking_again_while_one_is_on_its_way_is_the_same_wish(story: Story) -> None:
    first = story.interrupted()
    story.interrupt().then_nothing()
    story.report(first, "placed")
    story.report(first, "sent")
    story.interrupt().then_nothing()


def test_its_stages_are_recorded_in_order_each_once(story: Story) -> None:
    interrupt_id = story.interrupted()
    story.report(interrupt_id, "placed").then_wires("session.interrupt_placed")
    story.report(interrupt_id, "placed").then_nothing()
    assert [each.is_placed for each in story.scene.intents() if isinstance(each, InterruptTurn)] == [True]
    story.report(interrupt_id, "sent").then_wires("session.interrupt_sent")
    story.report(interrupt_id, "sent").then_nothing()
    story.report(interrupt_id, "uncertain").then_nothing()
    assert not [each for each in story.scene.intents() if isinstance(each, InterruptTurn)]


def test_a_turn_that_its_program_calls_interrupted_is(story: Story) -> None:
    story.says(TurnBegan())
    interrupt_id = story.sent()
    fact = story.says(TurnEnded(how="interrupted")).one(SessionInterrupted)
    assert (fact.interrupt_id, fact.rule) == (interrupt_id, "said_turn_end")
    assert story.scene.state(SessionState, story.session_id).interrupt is None
    assert story.state() == "interrupted"


def test_a_program_may_be_faster_than_who_reports_that_it_was_told(story: Story) -> None:
    story.says(TurnBegan())
    interrupt_id = story.interrupted()
    story.report(interrupt_id, "placed")
    story.says(TurnEnded(how="interrupted")).one(SessionInterrupted)
    story.report(interrupt_id, "sent").then_nothing()


@pytest.mark.parametrize("how", ["done", "failed", "interrupted"])
def test_a_turn_that_ends_before_anything_is_sent_needs_no_interrupt(story: Story, how: TurnEnd) -> None:
    story.says(TurnBegan())
    interrupt_id = story.interrupted()
    story.says(TurnEnded(how=how)).one(InterruptNotTaken)
    story.report(interrupt_id, "placed").then_nothing()


def test_a_turn_that_was_done_in_the_same_moment_was_not_interrupted(story: Story) -> None:
    story.says(TurnBegan())
    story.sent()
    story.says(TurnEnded(how="done")).one(InterruptNotTaken)


def test_of_a_turn_that_failed_after_an_interrupt_nobody_can_say_why(story: Story) -> None:
    story.says(TurnBegan())
    story.sent()
    assert "failed" in story.says(TurnEnded(how="failed")).one(InterruptUncertain).evidence


REST = Sighting(status="waiting_input", rule="said_turn_end", rule_version=1, evidence="")


@pytest.mark.parametrize(
    ("how", "fact"),
    [
        ("done", "session.interrupt_not_taken"),
        ("failed", "session.interrupt_uncertain"),
        ("interrupted", "session.interrupted"),
    ],
)
@pytest.mark.parametrize("more", [(), (TurnBegan(), TurnEnded(how="done"))])
def test_what_came_of_an_interrupt_is_said_once_also_where_its_program_is_seen_at_rest_in_the_same_breath(
    story: Story, how: TurnEnd, fact: str, more: tuple[Said, ...]
) -> None:
    story.says(TurnBegan())
    story.sent()

    outcome = story.says(TurnEnded(how=how), *more, seen=REST)

    assert [event.wire for event in outcome.events if event.kind == "session"] == [fact]


def test_an_interrupt_that_is_not_needed_any_more_says_so_once(story: Story) -> None:
    story.says(TurnBegan())
    story.interrupted()

    outcome = story.says(TurnEnded(how="done"), TurnBegan(), TurnEnded(how="done"), seen=REST)

    outcome.one(InterruptNotTaken)


def test_an_interrupt_that_may_still_go_in_is_settled_only_when_it_has(story: Story) -> None:
    """Else the next prompt would begin a turn, and that would be the one that ends."""
    story.says(TurnBegan())
    interrupt_id = story.interrupted()
    story.report(interrupt_id, "placed")
    outcome = story.says(TurnEnded(how="done"), seen=REST)
    assert [event.wire for event in outcome.events if event.kind == "session"] == []
    a_prompt(story.scene, story.session_id)
    assert not [each for each in story.scene.intents() if isinstance(each, TypePrompt)]
    story.report(interrupt_id, "sent").then_wires("session.interrupt_sent", "session.interrupt_not_taken")
    assert story.state() == "not_taken"
    assert [each for each in story.scene.intents() if isinstance(each, TypePrompt)]


def test_a_screen_at_rest_behind_the_key_shows_the_end_of_the_turn(story: Story) -> None:
    interrupt_id = story.sent()
    observed(story.scene, story.run_id, "waiting_input")
    fact = next(event for event in story.scene.history if isinstance(event, SessionInterrupted))
    assert (fact.interrupt_id, fact.rule) == (interrupt_id, "marker")


def test_a_screen_at_rest_counts_too_when_it_was_seen_before_the_keys_report(story: Story) -> None:
    interrupt_id = story.interrupted()
    story.report(interrupt_id, "placed")
    observed(story.scene, story.run_id, "waiting_input")
    story.report(interrupt_id, "sent").then_wires("session.interrupt_sent", "session.interrupted")


def test_an_end_that_is_not_seen_in_time_is_uncertain_and_nothing_is_sent_again(story: Story) -> None:
    interrupt_id = story.interrupted()
    story.report(interrupt_id, "placed")
    sent = story.report(interrupt_id, "sent").one(InterruptSent)
    (timer,) = [each for each in story.scene.timers() if isinstance(each.command, FireInterruptDue)]
    assert timer.due_at == story.scene.now + SEEN_S_MAX * 1_000_000
    assert sent.due_at
    story.scene.when(timer.command, actor=KERNEL).one(InterruptUncertain)
    story.scene.when(timer.command, actor=KERNEL).then_nothing()
    assert not [each for each in story.scene.intents() if isinstance(each, InterruptTurn)]
    assert story.interrupted() != interrupt_id


@pytest.mark.parametrize(("code", "signal"), [(None, 2), (130, None)])
def test_a_program_that_ends_by_ctrl_c_was_interrupted(
    story: Story, code: int | None, signal: int | None
) -> None:
    story.sent()
    assert story.ends(code=code, signal=signal).one(SessionInterrupted).rule == "run_exited"


def test_a_program_that_leaves_without_a_word_when_it_is_interrupted_was_cancelled(story: Story) -> None:
    story.sent()
    outcome = story.ends(code=0, failure=FailureClass.INVALID_OUTPUT)
    assert (outcome.one(RunExited).failure, outcome.one(RunExited).rule) == (
        FailureClass.CANCELLED,
        "interrupted",
    )
    assert outcome.one(SessionInterrupted).rule == "run_exited"


def test_what_a_program_says_it_has_failed_of_stands_also_when_it_was_interrupted(story: Story) -> None:
    story.sent()
    outcome = story.ends(code=1, failure=FailureClass.AUTH_REQUIRED)
    assert outcome.one(RunExited).failure is FailureClass.AUTH_REQUIRED
    assert outcome.one(InterruptUncertain)


@pytest.mark.parametrize("stage", ["requested", "placed"])
def test_an_interrupt_that_was_not_sent_explains_no_end(story: Story, stage: str) -> None:
    interrupt_id = story.interrupted()
    if stage == "placed":
        story.report(interrupt_id, "placed")
    outcome = story.ends(code=0, failure=FailureClass.INVALID_OUTPUT)
    assert outcome.one(RunExited).failure is FailureClass.INVALID_OUTPUT


def test_who_is_killed_after_an_interrupt_was_killed(story: Story) -> None:
    story.sent()
    assert (
        story.ends(signal=9, failure=FailureClass.SIGNALLED).one(RunExited).failure is FailureClass.SIGNALLED
    )


def test_a_run_that_ends_around_an_interrupt_leaves_it_uncertain(story: Story) -> None:
    story.sent()
    assert "exited with 0" in story.ends(code=0).one(InterruptUncertain).evidence


def test_a_run_that_is_lost_around_an_interrupt_leaves_it_uncertain(story: Story) -> None:
    story.sent()
    lost = ReportLost(workspace_id=WORKSPACE, run_id=story.run_id, evidence="no keeper")
    story.scene.when(lost, actor=KERNEL).one(InterruptUncertain)


def test_a_run_that_ends_before_anything_was_sent_was_not_interrupted(story: Story) -> None:
    story.interrupted()
    story.ends(code=0).one(InterruptNotTaken)


def test_the_next_prompt_waits_for_the_interrupt_to_be_sent(story: Story) -> None:
    interrupt_id = story.interrupted()
    story.report(interrupt_id, "placed")
    observed(story.scene, story.run_id, "waiting_input")
    a_prompt(story.scene, story.session_id)
    assert not [each for each in story.scene.intents() if isinstance(each, TypePrompt)]
    story.report(interrupt_id, "sent")
    assert [each for each in story.scene.intents() if isinstance(each, TypePrompt)]


@pytest.mark.parametrize("status", ["waiting_input", "idle"])
def test_where_no_turn_is_on_there_is_nothing_to_interrupt(story: Story, status: str) -> None:
    observed(story.scene, story.run_id, status)  # type: ignore[arg-type]  # one of the two
    assert "session explain" in (story.interrupt().refused("no_turn").hint or "")


def test_a_question_can_be_interrupted(story: Story) -> None:
    observed(story.scene, story.run_id, "blocked_on_permission")
    story.interrupted()


def test_without_a_live_run_there_is_nothing_to_interrupt(story: Story) -> None:
    exited(story.scene, story.run_id)
    story.interrupt().refused("no_live_run")
    story.scene.when(CloseSession(workspace_id=WORKSPACE, session_id=story.session_id))
    story.interrupt().refused("session_closed")


def test_a_run_that_has_not_started_or_is_being_stopped_has_no_turn() -> None:
    scene = Scene()
    session_id = a_session(scene)
    order = InterruptSession(workspace_id=WORKSPACE, session_id=session_id)
    run_id = its_run(scene, session_id)
    assert "run stop" in (scene.when(order).refused("no_turn").hint or "")
    scene.when(ReportStarted(workspace_id=WORKSPACE, run_id=run_id, pid=7, start_time=9), actor=KERNEL)
    scene.when(StopRun(workspace_id=WORKSPACE, run_id=run_id))
    scene.when(order).refused("no_turn")


@pytest.mark.parametrize(
    ("can", "is_taken"), [(None, True), (("interrupt",), True), ((), False), (("steer",), False)]
)
def test_what_a_run_can_is_told_when_it_starts(can: tuple[TurnAbility, ...] | None, is_taken: bool) -> None:
    scene = Scene()
    session_id = a_session(scene)
    run_id = its_run(scene, session_id)
    started = ReportStarted(workspace_id=WORKSPACE, run_id=run_id, pid=7, start_time=9, can=can)
    scene.when(started, actor=KERNEL)
    assert scene.state(RunState, run_id).can == can
    outcome = scene.when(InterruptSession(workspace_id=WORKSPACE, session_id=session_id))
    if is_taken:
        outcome.one(InterruptRequested)
        return
    refused = outcome.refused("cannot_interrupt")
    assert f"mpctl run stop {run_id}" in (refused.hint or "")


def test_an_interrupt_that_was_not_placed_is_not_sent_into_a_run_that_is_being_stopped(story: Story) -> None:
    story.interrupted()
    story.scene.when(StopRun(workspace_id=WORKSPACE, run_id=story.run_id))
    assert not [each for each in story.scene.intents() if isinstance(each, InterruptTurn)]


class Steered(Story):
    """A session whose program takes words for the turn that it is in."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.session_id = a_session(self.scene)
        self.run_id = its_run(self.scene, self.session_id)
        self._printed = 0
        can: tuple[TurnAbility, ...] = ("interrupt", "steer")
        started = ReportStarted(workspace_id=WORKSPACE, run_id=self.run_id, pid=7, start_time=9, can=can)
        self.scene.when(started, actor=KERNEL)

    def begins(self) -> None:
        seen = Sighting(status="working", rule="said_turn", rule_version=1, evidence="")
        self.says(TurnBegan(), seen=seen)

    def prompt(self, text: str = "left, not right", *, steer: bool = True) -> PromptId:
        command = PromptSession(workspace_id=WORKSPACE, session_id=self.session_id, prompt=text, steer=steer)
        return self.scene.when(command).one(PromptAccepted).prompt_id

    def typing(self) -> list[tuple[PromptId, bool]]:
        wanted = (each for each in self.scene.intents() if isinstance(each, TypePrompt))
        return [(each.prompt_id, each.is_steering) for each in wanted]

    def goes_in(self, prompt_id: PromptId, *outcomes: str) -> None:
        for outcome in outcomes or ("placed", "submitted"):
            report = ReportPrompt(
                workspace_id=WORKSPACE,
                session_id=self.session_id,
                prompt_id=prompt_id,
                outcome=outcome,  # type: ignore[arg-type]  # one of the two
                run_id=self.run_id,
                output_bytes=self._printed,
            )
            self.scene.when(report, actor=KERNEL)

    def item(self, prompt_id: PromptId) -> PromptItem:
        row = self.scene.row(SessionItem, self.session_id)
        return next(each for each in row.prompts if each.prompt_id == prompt_id)


@pytest.fixture
def steered() -> Steered:
    return Steered()


def test_a_prompt_that_steers_goes_into_the_turn_that_runs_and_the_log_says_into_which(
    steered: Steered,
) -> None:
    steered.begins()
    prompt_id = steered.prompt()
    assert steered.typing() == [(prompt_id, True)]
    steered.goes_in(prompt_id)
    fact = steered.says(PromptTaken(prompt_id=prompt_id)).one(TurnObserved)
    assert (fact.prompt_id, fact.steered_into) == (prompt_id, 1)
    assert (steered.item(prompt_id).steer, steered.item(prompt_id).steered_into) == (True, 1)


def test_one_that_its_program_takes_before_it_is_told_as_submitted_has_steered_too(steered: Steered) -> None:
    steered.begins()
    prompt_id = steered.prompt()
    steered.goes_in(prompt_id, "placed")
    assert steered.says(PromptTaken(prompt_id=prompt_id)).one(TurnObserved).steered_into == 1


@pytest.mark.parametrize("is_submitted", [True, False])
def test_one_that_comes_too_late_for_its_turn_has_steered_nothing(
    steered: Steered, is_submitted: bool
) -> None:
    steered.begins()
    prompt_id = steered.prompt()
    steered.goes_in(prompt_id, *(("placed", "submitted") if is_submitted else ("placed",)))
    said = (TurnEnded(how="done"), TurnBegan(), PromptTaken(prompt_id=prompt_id))
    assert steered.says(*said).one(TurnObserved).steered_into is None


def test_a_prompt_that_steers_overtakes_those_that_wait_for_the_end_of_the_turn(steered: Steered) -> None:
    steered.begins()
    waits = steered.prompt("and then the tests", steer=False)
    assert steered.typing() == []
    steers = steered.prompt()
    assert steered.typing() == [(steers, True)]
    steered.goes_in(steers)
    steered.says(PromptTaken(prompt_id=steers), TurnEnded(how="done"), seen=REST)
    assert steered.typing() == [(waits, False)]


def test_one_steers_behind_the_other_when_its_program_has_the_first(steered: Steered) -> None:
    """So the log can say of each whether it arrived."""
    steered.begins()
    first, second = steered.prompt("left"), steered.prompt("no, right")
    steered.goes_in(first)
    assert steered.typing() == []
    steered.says(PromptTaken(prompt_id=first))
    assert steered.typing() == [(second, True)]


def test_what_its_program_goes_on_with_is_no_sign_that_it_was_steered(steered: Steered) -> None:
    steered.begins()
    prompt_id = steered.prompt()
    steered.goes_in(prompt_id)

    blocked = Sighting(status="blocked_on_permission", rule="said_permission", rule_version=1, evidence="")
    before = [*steered.says(seen=blocked).events, *steered.says(TurnEnded(how="done"), seen=REST).events]

    assert [each for each in before if isinstance(each, TurnObserved)] == []
    assert [each for each in steered.scene.intents() if isinstance(each, WatchTurn)] == []
    fact = steered.says(TurnBegan(), PromptTaken(prompt_id=prompt_id)).one(TurnObserved)
    assert (fact.prompt_id, fact.steered_into) == (prompt_id, None)


def test_a_prompt_that_steers_begins_a_turn_where_none_runs(steered: Steered) -> None:
    steered.says(TurnBegan(), TurnEnded(how="done"), seen=REST)
    waits, steers = steered.prompt("first", steer=False), steered.prompt()
    assert steered.typing() == [(waits, False)]
    steered.goes_in(waits)
    seen = Sighting(status="working", rule="said_turn", rule_version=1, evidence="")
    steered.says(TurnBegan(), PromptTaken(prompt_id=waits), seen=seen)
    assert steered.typing() == [(steers, True)]


def test_no_prompt_steers_a_turn_that_is_about_to_be_interrupted(steered: Steered) -> None:
    steered.begins()
    interrupt_id = steered.interrupted()
    steered.prompt()
    assert steered.typing() == []
    steered.report(interrupt_id, "placed")
    assert steered.typing() == []


@pytest.mark.parametrize("can", [None, (), ("interrupt",)])
def test_who_takes_no_words_for_a_turn_is_not_steered(can: tuple[TurnAbility, ...] | None) -> None:
    scene = Scene()
    session_id = a_session(scene)
    order = PromptSession(workspace_id=WORKSPACE, session_id=session_id, prompt="left", steer=True)
    started = ReportStarted(
        workspace_id=WORKSPACE, run_id=its_run(scene, session_id), pid=7, start_time=9, can=can
    )
    scene.when(started, actor=KERNEL)
    hint = scene.when(order).refused("cannot_steer").hint or ""
    assert ("session interrupt" in hint) == (can != ())


def test_without_a_live_run_nothing_can_be_steered(steered: Steered) -> None:
    exited(steered.scene, steered.run_id)
    order = PromptSession(workspace_id=WORKSPACE, session_id=steered.session_id, prompt="left", steer=True)
    assert "next run" in (steered.scene.when(order).refused("cannot_steer").hint or "")
    steered.scene.when(CloseSession(workspace_id=WORKSPACE, session_id=steered.session_id))
    steered.scene.when(order).refused("session_closed")
