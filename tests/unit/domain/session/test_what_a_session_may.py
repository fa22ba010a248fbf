"""Whatever is spawned, forked, closed, detached and used, in any order: nobody below gets more than who is above."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moduprompt.domain.run.commands import ReportSaid, ReportStarted
from moduprompt.domain.run.decide import live_run
from moduprompt.domain.run.said import UsageReported
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session import decide as session_decide
from moduprompt.domain.session import width as session_width
from moduprompt.domain.session.commands import (
    AgentSpec,
    CloseSession,
    DetachWorktree,
    ForkMode,
    ForkSession,
    SpawnSession,
)
from moduprompt.domain.session.events import SessionForked, SessionSpawned
from moduprompt.domain.session.limits import RunLimits, RunLimitsSpec
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.worktree.commands import ReportCreated
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.policy.rights import Right
from moduprompt.protocol import ProjectId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import a_project, exited

DEPTH: Final = 4  # small enough that a drawn story meets them
WIDTH: Final = 3
AGENT: Final = AgentSpec(adapter="claude")  # one that tells what it uses
LIMITS: Final = tuple(field.name for field in msgspec.structs.fields(RunLimits))
MODES: Final[tuple[ForkMode, ...]] = ("default", "same_branch", "planning_only")

Order: TypeAlias = Literal["spawn", "fork", "close", "detach", "use", "end"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens to one of the sessions that there are by then."""

    order: Order
    whom: int
    is_root: bool = False
    mode: ForkMode = "default"
    may: frozenset[Right] | None = None
    limits: RunLimitsSpec | None = None
    budget: int | None = None
    tokens: int = 0


def drawn_limits() -> st.SearchStrategy[RunLimitsSpec]:
    one = st.none() | st.integers(1, 5)
    return st.fixed_dictionaries(dict.fromkeys(LIMITS, one)).map(_whole)


def _whole(drawn: dict[str, int | None]) -> RunLimitsSpec:
    return RunLimitsSpec(**{name: each and each * 2**20 for name, each in drawn.items()})


STEPS: Final = st.lists(
    st.builds(
        Step,
        order=st.sampled_from(("spawn", "spawn", "fork", "fork", "close", "detach", "use", "end")),
        whom=st.integers(0, 5),
        is_root=st.sampled_from((False, False, False, True)),
        mode=st.sampled_from(MODES),
        may=st.none() | st.frozensets(st.sampled_from(Right)),
        limits=st.none() | drawn_limits(),
        budget=st.none() | st.integers(1, 40),
        tokens=st.integers(1, 15),
    ),
    min_size=8,  # a short story meets no bound
    max_size=30,
)


class Story:
    """A workspace in which the steps are ordered, and what was used by whom."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.project: ProjectId = a_project(self.scene)
        self.used: dict[SessionId, int] = {}

    def sessions(self) -> list[SessionState]:
        return list(self.scene.world.every(SessionState))

    def take(self, step: Step) -> Outcome | None:
        """Order it; None where there is nobody yet whom it could be about."""
        whom = self._whom(step)
        if whom is None and not (step.order == "spawn" and step.is_root):
            return None
        outcome = self._orders()[step.order](step, whom)
        self._make_worktrees()
        return outcome

    def _orders(self) -> dict[Order, Callable[[Step, SessionState | None], Outcome | None]]:
        return {
            "spawn": self._spawn,
            "fork": self._fork,
            "close": self._close,
            "detach": self._detach,
            "use": self._use,
            "end": self._end,
        }

    def _whom(self, step: Step) -> SessionState | None:
        sessions = self.sessions()
        return sessions[step.whom % len(sessions)] if sessions else None

    def _spawn(self, step: Step, whom: SessionState | None) -> Outcome:
        command = SpawnSession(
            workspace_id=WORKSPACE,
            project_id=self.project,
            name="worker",
            agent=AGENT,
            parent_session_id=None if step.is_root or whom is None else whom.session_id,
            may=None if step.may is None else tuple(step.may),
            limits=step.limits,
            budget_tokens=step.budget,
        )
        return self.scene.when(command)

    def _fork(self, step: Step, whom: SessionState | None) -> Outcome | None:
        if whom is None:
            return None
        return self.scene.when(
            ForkSession(
                workspace_id=WORKSPACE, session_id=whom.session_id, name="another way", mode=step.mode
            )
        )

    def _close(self, _: Step, whom: SessionState | None) -> Outcome | None:
        if whom is None:
            return None
        return self.scene.when(CloseSession(workspace_id=WORKSPACE, session_id=whom.session_id))

    def _detach(self, _: Step, whom: SessionState | None) -> Outcome | None:
        if whom is None:
            return None
        return self.scene.when(DetachWorktree(workspace_id=WORKSPACE, session_id=whom.session_id))

    def _use(self, step: Step, whom: SessionState | None) -> Outcome | None:
        run = live_run(whom.session_id, self.scene.world) if whom is not None else None
        if whom is None or run is None:
            return None
        self._start(run)
        used = UsageReported(output_tokens=step.tokens)
        upto = self.scene.state(RunState, run.run_id).said_upto + 1
        self.used[whom.session_id] = self.used.get(whom.session_id, 0) + step.tokens
        report = ReportSaid(workspace_id=WORKSPACE, run_id=run.run_id, upto=upto, said=(used,))
        return self.scene.when(report, actor=KERNEL)

    def _start(self, run: RunState) -> None:
        started = ReportStarted(workspace_id=WORKSPACE, run_id=run.run_id, pid=7, start_time=9)
        self.scene.when(started, actor=KERNEL)

    def _end(self, _: Step, whom: SessionState | None) -> Outcome | None:
        run = live_run(whom.session_id, self.scene.world) if whom is not None else None
        if run is not None:
            exited(self.scene, run.run_id)
        return None

    def _make_worktrees(self) -> None:
        for tree in list(self.scene.world.every(WorktreeState)):
            report = ReportCreated(
                workspace_id=WORKSPACE, worktree_id=tree.worktree_id, path="/srv/t", head="c0"
            )
            self.scene.when(report, actor=KERNEL)

    def above(self, session: SessionState) -> SessionState | None:
        """Who it has its rights and limits from."""
        source = session.fork_of or session.parent_session_id
        return self.scene.world.find(SessionState, source) if source is not None else None


@pytest.fixture(autouse=True, scope="module")
def small() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_decide, "DEPTH_MAX", DEPTH)
        patch.setattr(session_width, "WIDTH_MAX", WIDTH)
        yield


def told(steps: list[Step]) -> Story:
    story = Story()
    for step in steps:
        story.take(step)
    return story


def is_within(lesser: RunLimits | None, greater: RunLimits | None) -> bool:
    """Whether no limit is wider; None is as wide as it gets."""
    for name in LIMITS:
        bound: int | None = getattr(greater, name, None)
        given_: int | None = getattr(lesser, name, None)
        if bound is not None and (given_ is None or given_ > bound):
            return False
    return True


@given(STEPS)
@settings(max_examples=150)
def test_rights_and_limits_never_widen_down_a_lineage(steps: list[Step]) -> None:
    story = told(steps)
    for each in story.sessions():
        above = story.above(each)
        if above is not None:
            assert set(each.may) <= set(above.may)
            assert is_within(each.limits, above.limits)
        parent = story.scene.world.find(SessionState, each.parent_session_id or "")
        if parent is not None:
            assert set(each.may) <= set(parent.may), "an alternative has no more than its parent, either"
            assert is_within(each.limits, parent.limits)


@given(STEPS)
@settings(max_examples=150)
def test_a_lineage_grows_neither_deeper_nor_wider_than_it_may(steps: list[Step]) -> None:
    story = Story()
    for step in steps:
        outcome = story.take(step)
        begun = [] if outcome is None else [each for each in outcome.events if is_begun(each)]
        if outcome is not None and outcome.rejection is None and not begun:
            continue
        sessions = [each for each in story.sessions() if each.status == "open"]
        assert all(len(each.path) <= DEPTH for each in sessions)
        for parent in {each.parent_session_id for each in sessions} - {None}:
            assert sum(each.parent_session_id == parent for each in sessions) <= WIDTH
        roots = [each for each in sessions if each.parent_session_id is None and each.fork_of is not None]
        for first in {origin(each, story) for each in roots}:
            assert sum(origin(each, story) == first for each in roots) <= WIDTH


def origin(session: SessionState, story: Story) -> SessionId:
    while session.fork_of is not None:
        session = story.scene.state(SessionState, session.fork_of)
    return session.session_id


def is_begun(event: object) -> bool:
    return isinstance(event, SessionSpawned | SessionForked)


@given(STEPS)
@settings(max_examples=150)
def test_what_is_used_below_is_used_above_and_nothing_begins_when_it_is_used_up(steps: list[Step]) -> None:
    story = Story()
    for step in steps:
        before = {each.session_id: each for each in story.sessions()}
        outcome = story.take(step)
        for event in outcome.events if outcome is not None else ():
            if isinstance(event, SessionSpawned | SessionForked):
                assert_paid_for(event, before)
    for payer in story.sessions():
        if payer.budget is not None:
            assert payer.budget.spent_tokens == sum(
                used for user, used in story.used.items() if payer.session_id in payers(user, story.scene)
            )


def payers(user: SessionId, scene: Scene) -> set[SessionId]:
    """A session, who spawned it, what it was forked from, and who pays for those."""
    found, waiting = set[SessionId](), [user]
    while waiting:
        found.add(each := waiting.pop())
        session = scene.state(SessionState, each)
        waiting += [id_ for id_ in (session.parent_session_id, session.fork_of) if id_ is not None]
    return found


def assert_paid_for(event: SessionSpawned | SessionForked, before: dict[SessionId, SessionState]) -> None:
    """Whoever is above what began, or its origin, had something left."""
    waiting = [event.parent_session_id, event.fork_of if isinstance(event, SessionForked) else None]
    while waiting:
        above = before.get(waiting.pop() or SessionId(""))
        if above is not None:
            assert above.budget is None or not above.budget.is_exceeded
            waiting += [above.parent_session_id, above.fork_of]


def test_alternatives_of_a_root_are_bounded_however_they_come_from_each_other() -> None:
    story = Story()
    root = Step(order="spawn", whom=0, is_root=True)
    assert story.take(root) is not None
    for number in range(WIDTH):
        chained = story.take(Step(order="fork", whom=number, mode="planning_only"))
        assert chained is not None
        assert chained.rejection is None
    for whom in range(WIDTH + 1):
        refused = story.take(Step(order="fork", whom=whom, mode="planning_only"))
        assert refused is not None
        assert "mpctl session close" in (refused.refused("lineage_too_wide").hint or "")
    other = story.take(root)
    assert other is not None
    assert other.rejection is None, "another root is another lineage"


def test_what_is_closed_makes_room_beside_the_others() -> None:
    story = Story()
    story.take(Step(order="spawn", whom=0, is_root=True))
    for _ in range(WIDTH):
        story.take(Step(order="spawn", whom=0))
    full = story.take(Step(order="spawn", whom=0))
    assert full is not None
    full.refused("lineage_too_wide")
    beside = story.take(Step(order="fork", whom=1, mode="planning_only"))
    assert beside is not None
    beside.refused("lineage_too_wide")
    story.take(Step(order="close", whom=2))
    fork = story.take(Step(order="fork", whom=1, mode="planning_only"))
    assert fork is not None
    assert fork.rejection is None
