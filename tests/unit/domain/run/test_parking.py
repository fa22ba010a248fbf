"""A run that a limit of its service ended: its session waits, and goes on by itself, once."""

from __future__ import annotations

import pytest

from moduprompt.domain.decider import Event
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import (
    ObservedStatus,
    ReportExited,
    ReportLost,
    ReportSaid,
    Sighting,
    StartRun,
    StopRun,
)
from moduprompt.domain.run.decide import live_run
from moduprompt.domain.run.events import RunExited, RunRequested, RunStopRequested
from moduprompt.domain.run.intents import KeepRun
from moduprompt.domain.run.parking import FIRST_S, LONGEST_S, PARKS_MAX, SPREAD
from moduprompt.domain.run.said import (
    ConversationNamed,
    Said,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import AttachWorktree, CloseSession, FireUnpark
from moduprompt.domain.session.events import SessionBranchGiven, SessionParked, SessionUnparked
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.commands import PauseTask
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.task.view import TaskItem
from moduprompt.protocol import SECOND, RunId, SessionId, to_micros
from moduprompt.views.board import VIEW as BOARD
from moduprompt.views.board_rows import BoardNode
from tests.support.domain import KERNEL, NOW, WORKSPACE, Outcome, Scene
from tests.support.stories import (
    a_project,
    a_running_task,
    a_session,
    a_waiting_session,
    exited,
    its_run,
    its_tree,
    started,
)

LIMITED = FailureClass.RATE_LIMITED


class Story:
    """A task whose program is at work in its session."""

    def __init__(self) -> None:
        self.scene = Scene(views=(*VIEWS, BOARD))
        project_id = a_project(self.scene)
        self.session_id: SessionId = a_session(self.scene, project_id)
        started(self.scene, its_run(self.scene, self.session_id))
        self.task_id = a_running_task(
            self.scene, project_id, session_id=self.session_id, retry=RetryRule(max_attempts=2)
        )

    def run(self) -> RunId:
        return its_run(self.scene, self.session_id)

    def says(self, *said: Said, seen: ObservedStatus | None = None) -> Outcome:
        sighting = None if seen is None else Sighting(status=seen, rule="said", rule_version=1, evidence="")
        run_id = self.run()
        upto = self.scene.state(RunState, run_id).said_upto + 1
        return self.scene.when(
            ReportSaid(workspace_id=WORKSPACE, run_id=run_id, upto=upto, said=said, seen=sighting),
            actor=KERNEL,
        )

    def ends(self, failure: FailureClass = LIMITED) -> Outcome:
        report = ReportExited(
            workspace_id=WORKSPACE,
            run_id=self.run(),
            how="exited",
            code=1,
            failure=failure,
            outcome="failed",
            rule="turn_failed",
            evidence="its last turn was failed",
        )
        return self.scene.when(report, actor=KERNEL)

    def waits_s(self, outcome: Outcome) -> float:
        return (to_micros(outcome.one(SessionParked).due_at) - self.scene.now) / SECOND

    def fires(self) -> Outcome:
        timers = [timer for timer in self.scene.timers() if isinstance(timer.command, FireUnpark)]
        assert len(timers) == 1
        return self.scene.when(timers[0].command, actor=KERNEL)

    def board_node(self) -> BoardNode:
        return self.scene.row(BoardNode, self.session_id)

    def task(self) -> TaskState:
        return self.scene.state(TaskState, self.task_id)


def another_writer(story: Story) -> SessionId:
    """A session that writes where the parked one does."""
    project_id = story.scene.state(SessionState, story.session_id).project_id
    other = a_waiting_session(story.scene, project_id, place="none")
    exited(story.scene, its_run(story.scene, other))
    tree = its_tree(story.scene, story.session_id)
    story.scene.when(AttachWorktree(workspace_id=WORKSPACE, session_id=other, worktree_id=tree))
    assert story.scene.when(StartRun(workspace_id=WORKSPACE, session_id=other)).rejection is None
    return other


def limited(retry_after_s: int | None = None) -> TroubleSeen:
    return TroubleSeen(failure=LIMITED, message="429", retry_after_s=retry_after_s)


def wires(events: list[Event]) -> list[str]:
    return [event.wire for event in events]


def test_a_run_that_a_limit_ended_parks_its_session_and_its_task_and_costs_no_attempt() -> None:
    story = Story()
    story.says(limited(120))
    outcome = story.ends()
    assert "session.parked" in wires(outcome.events)
    assert "task.attempt_failed" not in wires(outcome.events)
    assert story.task().status() == "parked"
    assert story.task().attempt == 1
    due_at = outcome.one(SessionParked).due_at
    assert story.scene.row(TaskItem, story.task_id).parked_until == due_at


def test_it_waits_as_long_as_the_service_said_and_a_little_more() -> None:
    story = Story()
    story.says(limited(120))
    assert 120 <= story.waits_s(story.ends()) <= 120 + 120 / SPREAD


def test_what_was_said_before_the_program_gave_up_counts() -> None:
    story = Story()
    story.says(limited(120), TroubleSeen(failure=LIMITED, message="gave up", is_final=True))
    assert story.waits_s(story.ends()) >= 120


def test_where_nothing_was_said_the_wait_grows_with_every_time_up_to_an_hour() -> None:
    story = Story()
    waits: list[float] = []
    for _ in range(12):
        waits.append(story.waits_s(story.ends()))
        story.fires()
        started(story.scene, story.run())
    assert waits == sorted(waits)
    assert FIRST_S <= waits[0] <= FIRST_S * 2
    assert LONGEST_S <= waits[-1] <= LONGEST_S * (1 + 1 / SPREAD)


def test_who_got_an_answer_in_between_begins_to_wait_anew() -> None:
    story = Story()
    for _ in range(5):
        story.ends()
        story.fires()
        started(story.scene, story.run())
    story.says(UsageReported(output_tokens=5))
    assert story.ends().one(SessionParked).parks == 1


def test_a_window_that_was_said_and_was_shut_is_not_knocked_at_again_and_again() -> None:
    story = Story()
    waits: list[float] = []
    for _ in range(6):
        story.says(limited(1))
        waits.append(story.waits_s(story.ends()))
        story.fires()
        started(story.scene, story.run())
    assert waits[0] < 2
    assert waits[-1] >= FIRST_S * 4


def test_when_the_window_opens_one_run_begins_and_the_same_attempt_goes_on() -> None:
    story = Story()
    parked = story.ends().one(SessionParked)
    assert live_run(story.session_id, story.scene.world) is None
    outcome = story.fires()
    assert {"session.unparked", "run.requested", "task.unblocked"} <= set(wires(outcome.events))
    live = live_run(story.session_id, story.scene.world)
    assert live is not None
    assert live.resumes == parked.run_id
    assert story.task().status() == "running"
    assert story.task().attempt == 1


def test_firing_twice_starts_nothing_twice() -> None:
    story = Story()
    parked = story.ends().one(SessionParked)
    story.fires()
    again = FireUnpark(workspace_id=WORKSPACE, session_id=story.session_id, run_id=parked.run_id)
    story.scene.when(again, actor=KERNEL).then_nothing()


def test_whoever_starts_a_run_before_ends_the_waiting() -> None:
    story = Story()
    parked = story.ends().one(SessionParked)
    outcome = story.scene.when(StartRun(workspace_id=WORKSPACE, session_id=story.session_id))
    assert outcome.one(SessionUnparked).why == "started"
    assert story.task().status() == "running"
    assert not [timer for timer in story.scene.timers() if isinstance(timer.command, FireUnpark)]
    late = FireUnpark(workspace_id=WORKSPACE, session_id=story.session_id, run_id=parked.run_id)
    story.scene.when(late, actor=KERNEL).then_nothing()


def test_a_session_that_is_closed_waits_for_nothing_and_its_attempt_has_failed() -> None:
    story = Story()
    story.ends()
    outcome = story.scene.when(CloseSession(workspace_id=WORKSPACE, session_id=story.session_id))
    assert outcome.one(SessionUnparked).why == "closed"
    assert story.task().phase == "failed"
    assert not story.scene.state(SessionState, story.session_id).parked


def test_a_turn_that_the_limit_ended_for_good_stops_a_program_that_would_only_wait() -> None:
    story = Story()
    run_id = story.run()
    story.says(TurnBegan(), limited(60))
    outcome = story.says(TurnEnded(how="failed", failure=LIMITED), seen="waiting_input")
    assert outcome.one(RunStopRequested).failure is LIMITED
    ended = story.scene.when(ReportExited(workspace_id=WORKSPACE, run_id=run_id, how="stopped"), actor=KERNEL)
    assert ended.one(RunExited).failure is LIMITED
    assert ended.one(SessionParked).run_id == run_id


def test_a_program_that_takes_one_prompt_ends_by_itself() -> None:
    story = Story()
    outcome = story.says(TurnBegan(), TurnEnded(how="failed", failure=LIMITED), seen="idle")
    assert "run.stop_requested" not in wires(outcome.events)


def test_a_program_that_tries_again_by_itself_is_left_alone() -> None:
    story = Story()
    story.says(TurnBegan(), limited(60)).then_wires("run.turn_began", "run.trouble_observed")
    assert story.task().status() == "running"


@pytest.mark.parametrize("failure", [FailureClass.NETWORK, FailureClass.AUTH_REQUIRED])
def test_other_ends_park_nothing(failure: FailureClass) -> None:
    story = Story()
    outcome = story.ends(failure)
    assert "session.parked" not in wires(outcome.events)
    assert "task.attempt_failed" in wires(outcome.events)


def test_a_lost_run_is_not_parked() -> None:
    story = Story()
    story.says(limited(60))
    outcome = story.scene.when(
        ReportLost(workspace_id=WORKSPACE, run_id=story.run(), evidence="gone"), actor=KERNEL
    )
    assert "session.parked" not in wires(outcome.events)


def test_a_limit_that_never_lets_anybody_in_becomes_a_failed_attempt() -> None:
    story = Story()
    for _ in range(PARKS_MAX):
        assert "session.parked" in wires(story.ends().events)
        story.fires()
    outcome = story.ends()
    assert "session.parked" not in wires(outcome.events)
    assert "task.attempt_failed" in wires(outcome.events)


def test_a_paused_task_is_parked_with_its_session_and_stays_paused() -> None:
    story = Story()
    story.scene.when(PauseTask(workspace_id=WORKSPACE, task_id=story.task_id))
    story.ends()
    assert story.task().status() == "paused"
    assert story.task().blocks == ("rate_limit",)


def test_the_due_time_is_drawn_once_and_stands() -> None:
    story = Story()
    assert story.scene.now == NOW
    due_at = story.ends().one(SessionParked).due_at
    assert [timer.due_at for timer in story.scene.timers()] == [to_micros(due_at)]


def test_the_board_shows_until_when_it_is_parked() -> None:
    story = Story()
    due_at = story.ends().one(SessionParked).due_at
    node = story.board_node()
    assert node.status == "parked"
    assert [wait.until for wait in node.waits] == [due_at]
    story.fires()
    assert story.board_node().status == "starting"


def told_alone(story: Story, prompt: str = "do Y") -> RunRequested:
    """A run that a person starts with words of its own, instead of the story's first."""
    exited(story.scene, story.run())
    order = StartRun(workspace_id=WORKSPACE, session_id=story.session_id, prompt=prompt, resume=True)
    begun = story.scene.when(order).one(RunRequested)
    started(story.scene, begun.run_id)
    return begun


def keeps(story: Story) -> KeepRun:
    wanted = [each for each in story.scene.intents() if isinstance(each, KeepRun)]
    assert len(wanted) == 1
    return wanted[0]


def test_what_a_run_alone_was_told_is_told_to_the_one_that_goes_on_however_often_it_is_parked() -> None:
    story = Story()
    told = told_alone(story)
    for _ in range(3):
        story.ends()
        begun = story.fires().one(RunRequested)
        assert (begun.prompt, begun.told_in) == (told.prompt, told.run_id)
        assert begun.prompt is not None
        started(story.scene, story.run())


def test_a_conversation_that_has_heard_it_is_not_told_it_again() -> None:
    story = Story()
    told_alone(story)
    story.says(ConversationNamed(conversation_id="the second"))
    story.ends()
    story.fires()
    earlier = keeps(story).earlier
    assert earlier is not None
    assert (earlier.conversation_id, earlier.has_heard) == ("the second", True)


def test_a_conversation_of_before_is_told_it() -> None:
    story = Story()
    story.says(ConversationNamed(conversation_id="the first"))
    told_alone(story)
    story.ends()
    story.fires()
    earlier = keeps(story).earlier
    assert earlier is not None
    assert (earlier.conversation_id, earlier.has_heard) == ("the first", False)


def test_who_is_told_the_same_by_a_person_once_more_is_told_it() -> None:
    story = Story()
    told_alone(story)
    story.says(ConversationNamed(conversation_id="the second"))
    told_alone(story)
    assert story.scene.state(RunState, story.run()).told_in is None


def test_it_is_told_when_its_branch_is_free_too() -> None:
    story = Story()
    told = told_alone(story)
    story.ends()
    other = another_writer(story)
    story.fires()
    assert live_run(story.session_id, story.scene.world) is None
    exited(story.scene, its_run(story.scene, other))
    begun = story.scene.state(RunState, story.run())
    assert (begun.prompt, begun.told_in) == (told.prompt, told.run_id)


def a_stop(story: Story, run_id: RunId) -> Outcome:
    return story.scene.when(StopRun(workspace_id=WORKSPACE, run_id=run_id, reason="enough"))


def nothing_goes_on(story: Story) -> bool:
    timers = [timer for timer in story.scene.timers() if isinstance(timer.command, FireUnpark)]
    return not timers and live_run(story.session_id, story.scene.world) is None


def test_who_is_stopped_by_somebody_is_not_parked_however_its_program_ends_first() -> None:
    story = Story()
    a_stop(story, story.run())
    assert "session.parked" not in wires(story.ends().events)
    assert nothing_goes_on(story)
    assert story.task().attempt == 1


def test_somebodys_stop_counts_over_the_one_that_was_to_park_it() -> None:
    story = Story()
    run_id = story.run()
    story.says(TurnBegan(), TurnEnded(how="failed", failure=LIMITED), seen="waiting_input")
    a_stop(story, run_id).then(RunStopRequested(run_id=run_id, reason="enough"))
    a_stop(story, run_id).then_nothing()
    ended = story.scene.when(ReportExited(workspace_id=WORKSPACE, run_id=run_id, how="stopped"), actor=KERNEL)
    assert ended.one(RunExited).failure is None
    assert nothing_goes_on(story)


def test_somebodys_stop_of_a_run_that_is_parked_ends_the_waiting() -> None:
    story = Story()
    run_id = story.run()
    story.ends()
    assert a_stop(story, run_id).one(SessionUnparked).why == "stopped"
    a_stop(story, run_id).then_nothing()
    assert nothing_goes_on(story)
    assert story.task().status() == "running"
    assert story.scene.when(StartRun(workspace_id=WORKSPACE, session_id=story.session_id)).rejection is None


def test_somebodys_stop_of_a_run_whose_work_waits_for_its_branch_ends_the_waiting() -> None:
    story = Story()
    run_id = story.run()
    story.ends()
    other = another_writer(story)
    story.fires()
    a_stop(story, run_id).then(SessionBranchGiven(session_id=story.session_id))
    exited(story.scene, its_run(story.scene, other))
    assert nothing_goes_on(story)


def test_who_ended_well_in_between_begins_to_wait_anew() -> None:
    story = Story()
    for _ in range(7):
        story.ends()
        story.fires()
        started(story.scene, story.run())
    story.says(UsageReported(output_tokens=5_000))
    exited(story.scene, story.run())
    story.scene.when(StartRun(workspace_id=WORKSPACE, session_id=story.session_id))
    outcome = story.ends()
    assert outcome.one(SessionParked).parks == 1
    assert story.waits_s(outcome) <= FIRST_S * 2


def test_who_starts_it_before_its_time_waits_as_if_it_had_begun_by_itself() -> None:
    story = Story()
    story.ends()
    story.scene.when(StartRun(workspace_id=WORKSPACE, session_id=story.session_id))
    assert story.ends().one(SessionParked).parks == 2
