"""What a run uses is charged to who began it, and stops everybody when the budget is used up."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportExited, ReportSaid, StartRun
from moduprompt.domain.run.decide import live_run
from moduprompt.domain.run.events import RunExited, RunStopRequested
from moduprompt.domain.run.intents import EndRun
from moduprompt.domain.run.said import Said, UsageReported
from moduprompt.domain.run.state import RunState
from moduprompt.domain.run.usage import SUM_MAX
from moduprompt.domain.session.commands import AgentSpec, ForkSession, SetBudget, SpawnSession
from moduprompt.domain.session.events import (
    SessionBudgetExceeded,
    SessionCharged,
    SessionForked,
    SessionSpawned,
)
from moduprompt.domain.session.state import Budget, SessionState
from moduprompt.domain.task.commands import StartTask
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import RunId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import a_project, a_task, its_run, started


def used(tokens: int, cost_micros: int | None = 0) -> UsageReported:
    return UsageReported(
        input_tokens=tokens - tokens // 4, output_tokens=tokens // 4, cost_micros=cost_micros
    )


class Story:
    """A session with 1,000 tokens; its program is at work."""

    def __init__(self, *, tokens: int | None = 1_000, cost_micros: int | None = None) -> None:
        self.scene = Scene()
        self.project_id = a_project(self.scene)
        self.root = self.spawned(tokens=tokens, cost_micros=cost_micros)

    def spawned(
        self, parent: SessionId | None = None, *, tokens: int | None = None, cost_micros: int | None = None
    ) -> SessionId:
        command = SpawnSession(
            workspace_id=WORKSPACE,
            project_id=self.project_id,
            name="worker",
            agent=AgentSpec(adapter="claude"),
            place="none",
            parent_session_id=parent,
            budget_tokens=tokens,
            budget_cost_micros=cost_micros,
        )
        session_id = self.scene.when(command).one(SessionSpawned).session_id
        started(self.scene, its_run(self.scene, session_id))
        return session_id

    def forked(self, session_id: SessionId) -> SessionId:
        command = ForkSession(workspace_id=WORKSPACE, session_id=session_id, name="b", mode="planning_only")
        return self.scene.when(command).one(SessionForked).session_id

    def run(self, session_id: SessionId | None = None) -> RunId:
        return its_run(self.scene, session_id or self.root)

    def says(self, *said: Said, of: SessionId | None = None) -> Outcome:
        run_id = self.run(of)
        upto = self.scene.state(RunState, run_id).said_upto + 10
        return self.scene.when(
            ReportSaid(workspace_id=WORKSPACE, run_id=run_id, upto=upto, said=said), actor=KERNEL
        )

    def exits(self, run_id: RunId, *, code: int = 0) -> Outcome:
        report = ReportExited(
            workspace_id=WORKSPACE,
            run_id=run_id,
            how="exited",
            code=code,
            outcome="succeeded",
            rule="turn_done",
            evidence="its turn was done",
        )
        return self.scene.when(report, actor=KERNEL)

    def bound(self, session_id: SessionId, tokens: int | None) -> Outcome:
        return self.scene.when(SetBudget(workspace_id=WORKSPACE, session_id=session_id, tokens=tokens))

    def budget(self, session_id: SessionId | None = None) -> Budget:
        found = self.scene.state(SessionState, session_id or self.root).budget
        assert found is not None
        return found


def test_what_a_run_uses_is_charged_once_and_stops_nothing_below_the_bound() -> None:
    story = Story()
    outcome = story.says(used(400))
    outcome.then_wires("run.usage_reported", "session.charged")
    assert outcome.one(SessionCharged).run_id == story.run()
    assert story.budget() == Budget(tokens=1_000, cost_micros=None, spent_tokens=400)


def test_without_a_budget_nothing_is_charged() -> None:
    story = Story(tokens=None)
    story.says(used(400)).then_wires("run.usage_reported")


def test_the_turn_that_reaches_the_bound_stops_the_run_in_the_same_decision() -> None:
    story = Story()
    story.says(used(999))
    outcome = story.says(used(1))
    outcome.then_wires(
        "run.usage_reported", "session.charged", "session.budget_exceeded", "run.stop_requested"
    )
    assert outcome.one(SessionBudgetExceeded) == SessionBudgetExceeded(
        session_id=story.root, bound="tokens", limit=1_000, spent=1_000
    )
    assert outcome.one(RunStopRequested).failure is FailureClass.BUDGET_EXCEEDED
    assert [each.run_id for each in story.scene.intents() if isinstance(each, EndRun)] == [story.run()]


def test_a_bound_that_several_reports_reach_together_is_said_once() -> None:
    story = Story()
    outcome = story.says(used(600), used(600), used(600))
    assert [event.wire for event in outcome.events].count("session.budget_exceeded") == 1
    assert story.budget().spent_tokens == 1_800
    assert story.budget().is_exceeded


def test_what_is_used_while_it_stops_is_charged_and_says_nothing_twice() -> None:
    story = Story()
    story.says(used(1_000))
    story.says(used(50)).then_wires("run.usage_reported", "session.charged")
    assert story.budget().spent_tokens == 1_050


def test_a_child_that_uses_up_its_parents_budget_stops_the_whole_lineage() -> None:
    story = Story()
    child = story.spawned(story.root)
    other = story.spawned(child)
    outcome = story.says(used(2_000), of=child)
    stopped = {event.run_id for event in outcome.events if isinstance(event, RunStopRequested)}
    assert stopped == {story.run(), story.run(child), story.run(other)}


def test_a_child_that_uses_up_its_own_budget_leaves_its_parent_at_work() -> None:
    story = Story(tokens=10_000)
    child = story.spawned(story.root, tokens=500)
    outcome = story.says(used(600), of=child)
    assert [event.run_id for event in outcome.events if isinstance(event, RunStopRequested)] == [
        story.run(child)
    ]
    assert story.budget().spent_tokens == 600


def test_a_fork_is_charged_to_what_it_was_forked_from() -> None:
    story = Story()
    fork = story.forked(story.root)
    started(story.scene, story.run(fork))
    outcome = story.says(used(1_000), of=fork)
    stopped = {event.run_id for event in outcome.events if isinstance(event, RunStopRequested)}
    assert stopped == {story.run(), story.run(fork)}


def test_a_budget_that_comes_later_begins_with_what_was_used() -> None:
    story = Story(tokens=None)
    child = story.spawned(story.root)
    story.says(used(300))
    story.says(used(200), of=child)
    story.bound(story.root, 1_000).then_wires("session.budget_set", "session.charged")
    assert story.budget().spent_tokens == 500
    story.bound(story.root, 2_000).then_wires("session.budget_set")
    assert story.budget().spent_tokens == 500


def test_a_budget_that_comes_too_late_stops_at_once() -> None:
    story = Story(tokens=None)
    story.says(used(300))
    story.bound(story.root, 300).then_wires(
        "session.budget_set", "session.charged", "session.budget_exceeded", "run.stop_requested"
    )


def test_a_budget_that_went_and_came_again_counts_nothing_twice() -> None:
    story = Story()
    story.says(used(300))
    story.bound(story.root, None)
    story.says(used(100))
    story.bound(story.root, 1_000)
    assert story.budget().spent_tokens == 400


def test_money_that_nobody_knows_uses_up_a_budget_of_money_alone() -> None:
    story = Story(tokens=None, cost_micros=2_500_000)
    story.says(used(10, cost_micros=1_000_000)).then_wires("run.usage_reported", "session.charged")
    outcome = story.says(used(10, cost_micros=None))
    assert outcome.one(SessionBudgetExceeded).bound == "unknown_cost"


def test_money_that_nobody_knows_is_said_where_tokens_are_bounded_too() -> None:
    story = Story(cost_micros=2_500_000)
    story.says(used(10, cost_micros=None)).then_wires("run.usage_reported", "session.charged")
    assert story.budget().unpriced == 1


def test_no_program_can_say_more_than_a_number_holds() -> None:
    story = Story()
    charged = story.says(UsageReported(input_tokens=SUM_MAX, output_tokens=SUM_MAX)).one(SessionCharged)
    assert charged.tokens == SUM_MAX
    story.says(used(5))
    assert story.budget().spent_tokens == SUM_MAX


@pytest.mark.parametrize("is_first", [True, False])
def test_a_run_stopped_for_its_budget_has_failed_so_however_it_ended(is_first: bool) -> None:
    story = Story()
    run_id = story.run()
    story.says(used(1_000))
    exited = (
        story.exits(run_id).one(RunExited)
        if is_first
        else story.scene.when(
            ReportExited(
                workspace_id=WORKSPACE, run_id=run_id, how="stopped", failure=FailureClass.CANCELLED
            ),
            actor=KERNEL,
        ).one(RunExited)
    )
    assert exited.failure is FailureClass.BUDGET_EXCEEDED
    assert exited.outcome == "failed"


def test_the_attempt_fails_with_it_and_no_retry_follows() -> None:
    story = Story()
    task_id = a_task(story.scene, story.project_id, session_id=story.root)
    story.scene.when(StartTask(workspace_id=WORKSPACE, task_id=task_id))
    run_id = story.run()
    story.says(used(1_000))
    story.exits(run_id)
    assert story.scene.state(TaskState, task_id).phase == "failed"
    assert live_run(story.root, story.scene.world) is None
    start = StartRun(workspace_id=WORKSPACE, session_id=story.root)
    story.scene.when(start).refused("budget_exceeded")
    story.bound(story.root, 5_000)
    story.scene.when(start).then_wires("run.requested")
