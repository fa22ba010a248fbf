"""What a session may use: who is charged, and what is refused when it is used up."""

from __future__ import annotations

import pytest

from moduprompt.domain.run.commands import StartRun
from moduprompt.domain.session.budgets import dollars
from moduprompt.domain.session.commands import (
    AgentSpec,
    ForkSession,
    PromptSession,
    RenameSession,
    SetBudget,
    SpawnSession,
)
from moduprompt.domain.session.events import (
    SessionBudgetExceeded,
    SessionBudgetSet,
    SessionCharged,
    SessionForked,
    SessionSpawned,
)
from moduprompt.domain.session.state import Budget, SessionState
from moduprompt.domain.session.view import SessionItem
from moduprompt.protocol import ProjectId, SessionId
from tests.support.domain import WORKSPACE, Outcome, Scene
from tests.support.stories import a_project


class Story:
    """A session of claude's with a budget, at work in no worktree."""

    def __init__(self, *, tokens: int | None = 1_000, cost_micros: int | None = None) -> None:
        self.scene = Scene()
        self.project_id: ProjectId = a_project(self.scene)
        self.session_id: SessionId = self.spawned(tokens=tokens, cost_micros=cost_micros)

    def spawn(
        self,
        *,
        parent: SessionId | None = None,
        adapter: str = "claude",
        tokens: int | None = None,
        cost_micros: int | None = None,
    ) -> Outcome:
        command = SpawnSession(
            workspace_id=WORKSPACE,
            project_id=self.project_id,
            name="worker",
            agent=AgentSpec(adapter=adapter),
            place="none",
            parent_session_id=parent,
            budget_tokens=tokens,
            budget_cost_micros=cost_micros,
        )
        return self.scene.when(command)

    def spawned(
        self,
        *,
        parent: SessionId | None = None,
        tokens: int | None = None,
        cost_micros: int | None = None,
    ) -> SessionId:
        outcome = self.spawn(parent=parent, tokens=tokens, cost_micros=cost_micros)
        return outcome.one(SessionSpawned).session_id

    def forked(self, session_id: SessionId) -> SessionId:
        return self.fork(session_id).one(SessionForked).session_id

    def fork(self, session_id: SessionId) -> Outcome:
        command = ForkSession(
            workspace_id=WORKSPACE, session_id=session_id, name="another way", mode="planning_only"
        )
        return self.scene.when(command)

    def bound(self, *, tokens: int | None = None, cost_micros: int | None = None) -> Outcome:
        command = SetBudget(
            workspace_id=WORKSPACE, session_id=self.session_id, tokens=tokens, cost_micros=cost_micros
        )
        return self.scene.when(command)

    def spent(self, tokens: int, *, cost_micros: int = 0, is_cost_known: bool = True) -> None:
        charged = SessionCharged(
            session_id=self.session_id,
            tokens=tokens,
            cost_micros=cost_micros,
            is_cost_known=is_cost_known,
        )
        self.scene.given(charged)

    def used_up(self) -> None:
        self.spent(1_200)
        self.scene.given(
            SessionBudgetExceeded(session_id=self.session_id, bound="tokens", limit=1_000, spent=1_200)
        )

    def prompt(self, session_id: SessionId) -> Outcome:
        return self.scene.when(PromptSession(workspace_id=WORKSPACE, session_id=session_id, prompt="go on"))

    def budget(self) -> Budget | None:
        return self.scene.state(SessionState, self.session_id).budget


def test_a_session_is_made_with_its_budget() -> None:
    story = Story(tokens=1_000, cost_micros=2_500_000)
    assert story.budget() == Budget(tokens=1_000, cost_micros=2_500_000)
    assert story.scene.row(SessionItem, story.session_id).budget == story.budget()


def test_a_session_without_a_budget_has_no_fact_of_one() -> None:
    story = Story()
    assert [event.wire for event in story.spawn().events if event.wire.startswith("session.")] == [
        "session.spawned"
    ]


def test_the_same_budget_again_is_nothing_new_and_none_takes_it_away() -> None:
    story = Story()
    story.bound(tokens=1_000).then_nothing()
    story.bound().then(SessionBudgetSet(session_id=story.session_id))
    assert story.budget() is None
    story.bound().then_nothing()


def test_a_raised_budget_keeps_what_was_used_and_opens_the_session_again() -> None:
    story = Story()
    story.used_up()
    story.prompt(story.session_id).refused("budget_exceeded")
    story.bound(tokens=2_000).then(SessionBudgetSet(session_id=story.session_id, tokens=2_000))
    assert story.budget() == Budget(tokens=2_000, cost_micros=None, spent_tokens=1_200)
    story.prompt(story.session_id).then_wires("session.prompt_accepted")


def test_a_budget_below_what_was_used_is_used_up_at_once() -> None:
    story = Story()
    story.spent(600)
    outcome = story.bound(tokens=500)
    outcome.then_wires("session.budget_set", "session.budget_exceeded", "run.stop_requested")
    assert outcome.one(SessionBudgetExceeded) == SessionBudgetExceeded(
        session_id=story.session_id, bound="tokens", limit=500, spent=600
    )


def test_a_used_up_budget_refuses_prompts_spawns_forks_and_runs_and_says_how_to_raise_it() -> None:
    story = Story()
    story.used_up()
    start = StartRun(workspace_id=WORKSPACE, session_id=story.session_id)
    refusal = story.prompt(story.session_id).refused("budget_exceeded")
    assert refusal.hint is not None
    assert refusal.hint.startswith(f"mpctl session set-budget {story.session_id}")
    assert "1200 of 1000 tokens" in refusal.message
    story.spawn(parent=story.session_id).refused("budget_exceeded")
    story.fork(story.session_id).refused("budget_exceeded")
    story.scene.when(start).refused("run_live")  # that one is said first: it is stopping


def test_what_costs_nothing_is_still_done_with_a_used_up_budget() -> None:
    story = Story()
    story.used_up()
    rename = RenameSession(workspace_id=WORKSPACE, session_id=story.session_id, name="spender")
    story.scene.when(rename).then_wires("session.renamed")


def test_nobody_gets_more_by_children_or_by_forks() -> None:
    story = Story()
    child = story.spawned(parent=story.session_id, tokens=900_000)
    grandchild = story.spawned(parent=child)
    fork = story.forked(story.session_id)
    fork_of_the_fork = story.forked(fork)
    story.used_up()
    for each in (child, grandchild, fork, fork_of_the_fork):
        story.prompt(each).refused("budget_exceeded")


def test_a_parent_goes_on_when_its_child_has_used_up_its_own() -> None:
    story = Story(tokens=None)
    parent = story.session_id
    story.session_id = story.spawned(parent=parent, tokens=1_000)
    story.used_up()
    story.prompt(story.session_id).refused("budget_exceeded")
    story.prompt(parent).then_wires("session.prompt_accepted")


@pytest.mark.parametrize("adapter", ["scripted", "command"])
def test_tokens_of_a_program_that_tells_none_are_not_bounded_for_show(adapter: str) -> None:
    Story().spawn(adapter=adapter, tokens=1_000).refused("budget_not_measured")


def test_money_alone_does_not_bound_a_program_that_tells_no_cost() -> None:
    story = Story()
    story.spawn(adapter="codex", cost_micros=1).refused("budget_not_measured")
    story.spawn(adapter="codex", cost_micros=1, tokens=1).one(SessionSpawned)


@pytest.mark.parametrize(
    ("micros", "told"),
    [(0, "$0.00"), (2_500_000, "$2.50"), (1_234_567, "$1.234567"), (10_000, "$0.01"), (5, "$0.000005")],
)
def test_money_is_told_to_the_millionth(micros: int, told: str) -> None:
    assert dollars(micros) == told
