"""First runs that a used-up budget kept from beginning begin when somebody raises it, and hold nothing meanwhile."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportSaid, StartRun
from moduprompt.domain.run.decide import live_run
from moduprompt.domain.run.events import RunRequested
from moduprompt.domain.run.said import UsageReported
from moduprompt.domain.session.commands import AgentSpec, CloseSession, ForkSession, SetBudget, SpawnSession
from moduprompt.domain.session.state import SessionState
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
    story.raises(tokens=1_000)
    assert story.is_live(fork)
    assert scene.state(SessionState, fork).waiting is None


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
