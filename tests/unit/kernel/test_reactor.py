"""Intents are begun once, insisted on, and found again."""

import asyncio

import pytest

from moduprompt.domain.decider import Intent
from moduprompt.domain.session.commands import AgentSpec, SpawnSession
from moduprompt.domain.worktree.intents import MakeWorktree
from moduprompt.kernel.judgement import Wanted
from moduprompt.kernel.reactor import PAUSES_S, Reactor
from moduprompt.protocol import Subject
from moduprompt.storage.port import StorageFailed
from tests.support.clocks import FakeClock
from tests.support.deadline import turns
from tests.support.kernel import FakeHand, House, make_kernel
from tests.support.stores import W1


class Paint(Intent, frozen=True, kw_only=True):
    """Something should have a colour."""

    colour: str = "red"


WALL = Subject(kind="wall", id="w")


def wants(*names: str, subject: Subject = WALL, colour: str = "red") -> Wanted:
    intents = tuple(Paint(name=name, workspace_id=W1, colour=colour) for name in names)
    return Wanted(subject=subject, intents=intents, timers=())


class Scene:
    """A reactor, its only hand and its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.hand = FakeHand(Paint)
        self.reactor = Reactor(clock=self.clock)
        self.held: list[asyncio.Future[bool]] = []

    def start(self) -> None:
        self.reactor.start((self.hand,))

    async def wait_for_us(self, intent: Intent) -> bool:  # noqa: ARG002
        """A hand that finishes when the test says so."""
        held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.held.append(held)
        return await held


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_nothing_is_begun_before_the_start(scene: Scene) -> None:
    scene.reactor.update(wants("a", "b"))
    await turns()
    assert scene.hand.names() == []

    scene.start()
    await turns()
    assert sorted(scene.hand.names()) == ["a", "b"]
    await scene.reactor.stop()


async def test_an_intent_is_begun_once_however_often_it_is_wanted(scene: Scene) -> None:
    scene.start()
    scene.hand.does = scene.wait_for_us
    for _ in range(5):
        scene.reactor.update(wants("a"))
        await turns()
    scene.held[0].set_result(True)
    await turns()
    for _ in range(5):
        scene.reactor.update(wants("a", "b"))
        await turns()

    assert scene.hand.names() == ["a", "b"]
    await scene.reactor.stop()


async def test_what_was_done_is_done_again_when_it_is_wanted_again(scene: Scene) -> None:
    scene.start()
    for wanted in (wants("a"), wants(), wants("a")):
        scene.reactor.update(wanted)
        await turns()

    assert scene.hand.names() == ["a", "a"]
    await scene.reactor.stop()


@pytest.mark.parametrize("how", ["raises", "says not yet"])
async def test_a_hand_is_sent_again_after_growing_pauses(scene: Scene, how: str) -> None:
    async def fails(intent: Intent) -> bool:
        if how == "raises":
            raise OSError("not this time")
        return False

    scene.hand.does = fails
    scene.start()
    scene.reactor.update(wants("a"))
    await turns()
    for pause in (*PAUSES_S, PAUSES_S[-1]):
        tries = len(scene.hand.asked)
        scene.clock.later(pause - 0.01)
        await turns()
        assert len(scene.hand.asked) == tries
        scene.clock.later(0.01)
        await turns()
        assert len(scene.hand.asked) == tries + 1

    assert scene.clock.slept == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
    await scene.reactor.stop()


async def test_a_try_after_a_pause_takes_the_intent_as_it_stands_then(scene: Scene) -> None:
    scene.hand.does = scene.wait_for_us
    scene.start()
    scene.reactor.update(wants("a", colour="red"))
    await turns()
    scene.reactor.update(wants("a", colour="blue"))
    scene.held[0].set_result(False)
    await turns()
    scene.clock.later(PAUSES_S[0])
    await turns()

    assert [intent.colour for intent in scene.hand.asked if isinstance(intent, Paint)] == ["red", "blue"]
    await scene.reactor.stop()


async def test_what_is_wanted_no_more_is_not_sent_for_again(scene: Scene) -> None:
    scene.hand.does = scene.wait_for_us
    scene.start()
    scene.reactor.update(wants("a"))
    await turns()
    scene.reactor.update(wants())
    scene.held[0].set_result(False)
    await turns()
    scene.clock.later(100)
    await turns()

    assert scene.hand.names() == ["a"]
    assert scene.reactor.standing() == 0
    await scene.reactor.stop()


@pytest.mark.parametrize("between", range(6))
async def test_what_is_wanted_again_just_as_the_hand_comes_back_is_begun(scene: Scene, between: int) -> None:
    scene.hand.does = scene.wait_for_us
    scene.start()
    scene.reactor.update(wants("a"))
    await turns()
    scene.reactor.update(wants())
    scene.held[0].set_result(False)
    await turns(between)
    scene.reactor.update(wants("a"))
    await turns()
    scene.clock.later(PAUSES_S[0])
    await turns()

    assert scene.hand.names() == ["a", "a"]
    await scene.reactor.stop()


async def test_one_hand_that_hangs_holds_up_no_other(scene: Scene) -> None:
    scene.hand.does = scene.wait_for_us
    scene.start()
    scene.reactor.update(wants("a"))
    scene.reactor.update(wants("b", subject=Subject(kind="wall", id="v")))
    await turns()

    assert scene.hand.names() == ["a", "b"]
    await scene.reactor.stop()


async def test_stopping_lets_go_and_stopping_twice_is_fine(scene: Scene) -> None:
    await scene.reactor.stop()
    scene.hand.does = scene.wait_for_us
    scene.start()
    scene.reactor.update(wants("a"))
    await turns()
    await scene.reactor.stop()
    await scene.reactor.stop()

    assert scene.held[0].cancelled()


async def test_an_intent_without_a_hand_is_left_standing() -> None:
    reactor = Reactor(clock=FakeClock())
    reactor.start(())
    reactor.update(wants("a"))
    await turns()

    assert reactor.standing() == 1
    await reactor.stop()


async def spawned(house: House) -> None:
    ws = await house.workspace()
    project_id = await house.project(ws)
    agent = AgentSpec(adapter="command", argv=("true",))
    await house.accept(SpawnSession(workspace_id=ws, project_id=project_id, name="s", agent=agent))
    await turns()


async def test_a_restart_finds_the_same_intents() -> None:
    hand = FakeHand(MakeWorktree)
    async with make_kernel(hands=(hand,)) as house:
        await spawned(house)
        log = house.log.inner
    again = FakeHand(MakeWorktree)
    async with make_kernel(log=log, hands=(again,)):
        await turns()

    assert len(hand.asked) == 1
    assert again.asked == hand.asked


async def test_intents_of_a_commit_that_failed_are_not_begun() -> None:
    hand = FakeHand(MakeWorktree)
    async with make_kernel(hands=(hand,)) as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        agent = AgentSpec(adapter="command", argv=("true",))
        spawn = SpawnSession(workspace_id=ws, project_id=project_id, name="s", agent=agent)
        house.log.fail_next(StorageFailed("eio"))
        await house.submit(spawn, key="k")
        await turns()
        assert hand.asked == []

        await house.accept(spawn, key="k")
        await turns()
        assert len(hand.asked) == 1


async def test_of_a_workspace_that_was_lost_nothing_goes_on(scene: Scene) -> None:
    scene.hand.does = scene.wait_for_us
    scene.start()
    scene.reactor.update(wants("a", "b"))
    await turns()

    scene.reactor.drop(W1)
    await turns()

    assert all(held.cancelled() for held in scene.held)
    assert not scene.reactor.has_work(W1)
    scene.clock.later(100)
    await turns()
    assert scene.hand.names() == ["a", "b"]
