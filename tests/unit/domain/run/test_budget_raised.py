"""First runs that a used-up budget kept from beginning begin when somebody raises it, and hold nothing meanwhile."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportSaid, StartRun, StopRun
from moduprompt.domain.run.decide import live_run
from moduprompt.domain.run.events import RunRequested
from moduprompt.domain.run.said import UsageReported
from moduprompt.domain.session.commands import AgentSpec, CloseSession, ForkSession, SetBudget, SpawnSession
from moduprompt.domain.session.events import SessionBudgetAwaited, SessionBudgetGiven
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.worktree.commands import ReportSettled
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import ProjectId, RunId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import a_project, exited, its_run, its_tree, made, started


class Story:
    """A session at work with a budget, whose children wait for their worktrees while it is used up."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.project_id: ProjectId = a_project(self.scene)
        self.root: SessionId = self.spawned()
        made(self.scene, its_tree(self.scene, self.root))
        self.run_id: RunId = its_run(self.scene, self.root)
        started(self.scene, self.run_id)
        self.raises(tokens=100)

    def spawned(self, parent: SessionId | None = None) -> SessionId:
        command = SpawnSession(
            workspace_id=WORKSPACE,
            project_id=self.project_id,
            name="worker",
            agent=AgentSpec(adapter="claude"),
            parent_session_id=parent,
        )
        return SessionId(self.scene.when(command).subject())

    def fork(self) -> SessionId:
        command = ForkSession(workspace_id=WORKSPACE, session_id=self.root, name="other", mode="same_branch")
        return SessionId(self.scene.when(command).subject())

    def uses_it_up(self) -> None:
        report = ReportSaid(
            workspace_id=WORKSPACE, run_id=self.run_id, upto=1, said=(UsageReported(input_tokens=200),)
        )
        self.scene.when(report, actor=KERNEL)

    def raises(self, *, tokens: int | None) -> Outcome:
        return self.scene.when(SetBudget(workspace_id=WORKSPACE, session_id=self.root, tokens=tokens))

    def waiting(self, *session_ids: SessionId) -> None:
        self.uses_it_up()
        exited(self.scene, self.run_id)
        for session_id in session_ids:
            made(self.scene, its_tree(self.scene, session_id))

    def is_live(self, session_id: SessionId) -> bool:
        return live_run(session_id, self.scene.world) is not None


def test_who_waits_for_a_budget_holds_no_lease() -> None:
    story = Story()
    child = story.spawned(story.root)
    story.waiting(child)
    tree = story.scene.state(WorktreeState, its_tree(story.scene, child))
    assert (tree.status, tree.writer, story.is_live(child)) == ("ready", None, False)
    assert story.scene.state(SessionState, child).worktree_id == tree.worktree_id


@pytest.mark.parametrize("tokens", [1_000, None])
def test_it_begins_when_the_budget_is_raised_or_taken_away(tokens: int | None) -> None:
    story = Story()
    child = story.spawned(story.root)
    story.waiting(child)
    assert story.raises(tokens=tokens).one(RunRequested).session_id == child
    tree = story.scene.state(WorktreeState, its_tree(story.scene, child))
    assert tree.writer == child


def test_a_raise_that_is_not_enough_begins_nothing() -> None:
    story = Story()
    child = story.spawned(story.root)
    story.waiting(child)
    story.raises(tokens=150)
    assert not story.is_live(child)


def test_who_has_run_or_is_closed_or_has_no_place_yet_does_not_begin_by_it() -> None:
    story = Story()
    closed, placeless = story.spawned(story.root), story.spawned(story.root)
    story.waiting(closed)
    story.scene.when(CloseSession(workspace_id=WORKSPACE, session_id=closed))
    story.raises(tokens=1_000)
    assert not any(story.is_live(each) for each in (story.root, closed, placeless))
    made(story.scene, its_tree(story.scene, placeless))
    assert story.is_live(placeless)


def test_a_session_that_is_made_with_a_budget_begins_once() -> None:
    scene = Scene()
    command = SpawnSession(
        workspace_id=WORKSPACE,
        project_id=a_project(scene),
        name="worker",
        agent=AgentSpec(adapter="claude"),
        place="none",
        budget_tokens=100,
    )
    assert scene.when(command).one(RunRequested)


def test_of_those_that_share_a_branch_one_writes_and_the_other_follows() -> None:
    story = Story()
    forks = story.fork(), story.fork()
    story.waiting(*forks)
    begun = story.raises(tokens=1_000).one(RunRequested)
    (other,) = set(forks) - {begun.session_id}
    assert not story.is_live(other)
    exited(story.scene, begun.run_id)
    settle_all(story.scene)
    assert story.is_live(other)


def test_whose_branch_became_free_while_the_budget_was_used_up_begins_when_it_is_raised() -> None:
    story = Story()
    scene, fork = story.scene, story.fork()
    exited(scene, story.run_id)
    made(scene, its_tree(scene, fork))
    exited(scene, its_run(scene, fork), code=1, failure=FailureClass.RATE_LIMITED)
    settle_all(scene)
    story.run_id = (
        scene.when(StartRun(workspace_id=WORKSPACE, session_id=story.root)).one(RunRequested).run_id
    )
    (timer,) = scene.timers()
    scene.when(timer.command, actor=KERNEL)
    assert scene.state(SessionState, fork).waiting is not None
    story.waiting()
    settle_all(scene)
    assert not story.is_live(fork)
    assert scene.row(SessionItem, fork).awaits_budget_of == story.root
    story.raises(tokens=1_000)
    assert story.is_live(fork)
    assert scene.state(SessionState, fork).waiting is None
    assert scene.row(SessionItem, fork).awaits_budget_of is None


def test_who_waits_for_a_budget_says_for_whose_until_it_begins() -> None:
    story = Story()
    child = story.spawned(story.root)
    story.waiting(child)
    assert story.scene.row(SessionItem, child).awaits_budget_of == story.root
    assert story.raises(tokens=1_000).one(SessionBudgetGiven).session_id == child
    assert story.scene.row(SessionItem, child).awaits_budget_of is None


def test_who_is_charged_to_two_used_up_budgets_waits_for_one_after_the_other() -> None:
    story = Story()
    child = story.spawned(story.root)
    grandchild = story.spawned(child)
    story.scene.when(SetBudget(workspace_id=WORKSPACE, session_id=child, tokens=1))
    made(story.scene, its_tree(story.scene, child))
    run_id = its_run(story.scene, child)
    started(story.scene, run_id)
    used = ReportSaid(workspace_id=WORKSPACE, run_id=run_id, upto=1, said=(UsageReported(input_tokens=200),))
    story.scene.when(used, actor=KERNEL)
    exited(story.scene, run_id)
    story.waiting(grandchild)
    assert story.scene.row(SessionItem, grandchild).awaits_budget_of == child

    story.scene.when(SetBudget(workspace_id=WORKSPACE, session_id=child, tokens=1_000))
    assert story.scene.row(SessionItem, grandchild).awaits_budget_of == story.root
    assert not story.is_live(grandchild)

    story.raises(tokens=10_000)
    assert story.scene.row(SessionItem, grandchild).awaits_budget_of is None
    assert story.is_live(grandchild)


def test_who_is_closed_waits_for_no_budget() -> None:
    story = Story()
    child = story.spawned(story.root)
    story.waiting(child)
    story.scene.when(CloseSession(workspace_id=WORKSPACE, session_id=child))
    assert story.scene.row(SessionItem, child).awaits_budget_of is None
    story.raises(tokens=1_000)
    assert not story.is_live(child)


class Parked(Story):
    """A session whose window opens while the budget that it is charged to is used up."""

    def __init__(self) -> None:
        super().__init__()
        self.child = self.spawned(self.root)
        made(self.scene, its_tree(self.scene, self.child))
        self.parked = its_run(self.scene, self.child)
        started(self.scene, self.parked)
        exited(self.scene, self.parked, code=1, failure=FailureClass.RATE_LIMITED)
        self.waiting()
        (timer,) = self.scene.timers()
        self.opened = self.scene.when(timer.command, actor=KERNEL)


def test_a_window_that_opens_while_a_budget_is_used_up_is_followed_by_a_run_when_that_is_raised() -> None:
    story = Parked()
    assert story.opened.one(SessionBudgetAwaited).payer == story.root
    assert not story.is_live(story.child)
    begun = story.raises(tokens=1_000).one(RunRequested)
    assert (begun.session_id, begun.resumes) == (story.child, story.parked)


def test_a_run_that_a_person_stops_for_good_waits_for_no_budget() -> None:
    story = Parked()
    stop = StopRun(workspace_id=WORKSPACE, run_id=story.parked)
    assert story.scene.when(stop).one(SessionBudgetGiven)
    story.raises(tokens=1_000)
    assert not story.is_live(story.child)


def settle_all(scene: Scene) -> None:
    """Every settling that is under way is done."""
    for tree in scene.world.every(WorktreeState):
        if tree.is_settling:
            report = ReportSettled(
                workspace_id=WORKSPACE,
                worktree_id=tree.worktree_id,
                generation=tree.settle_generation,
                head="c0ffee",
            )
            scene.when(report, actor=KERNEL)
