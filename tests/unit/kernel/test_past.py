"""Reads of the past: what was there then, folded once, and never at the cost of the present."""

from __future__ import annotations

import asyncio

import pytest

from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import View
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.domain.workspace.view import VIEW as WORKSPACES
from moduprompt.kernel import past as past_module
from moduprompt.kernel.past import Past
from moduprompt.protocol import Code, Micros, Refused, WorkspaceId, to_micros
from moduprompt.storage.memory.log import MemoryLog
from moduprompt.storage.port import StoredEvent
from moduprompt.views.board import VIEW as BOARD
from moduprompt.views.search import VIEW as SEARCH
from tests.support.deadline import turns
from tests.support.kernel import House, make_kernel
from tests.support.kernel_stories import Story

ALL: tuple[View, ...] = (*VIEWS, BOARD, SEARCH)
COLLECTIONS = [(view, name) for view in ALL for name, _ in view.collections]
Rows = dict[str, list[tuple[str, bytes]]]


class CountedLog(MemoryLog):
    """Counts the events that are read, and can hold readers back."""

    def __init__(self) -> None:
        super().__init__()
        self.events_read = 0
        self.largest = 0
        self.reading = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def read(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[StoredEvent]:
        found = await super().read(workspace_id, after=after, limit=limit)
        self.events_read += len(found)
        self.largest = max(self.largest, len(found))
        self.reading.set()
        await self.open.wait()
        return found


async def live(house: House, workspace_id: WorkspaceId) -> Rows:
    head = house.kernel.feed.head(workspace_id)
    await house.kernel.projector.wait_for(workspace_id, head)
    return {
        name: await house.views.rows(name, workspace_id=workspace_id, after="", limit=10_000)
        for _, name in COLLECTIONS
    }


async def then(past: Past, workspace_id: WorkspaceId, seq: int) -> Rows:
    found: Rows = {}
    for view, name in COLLECTIONS:
        scene = await past.scene(view, workspace_id, seq=seq)
        found[name] = scene.page(name, after="", limit=10_000)
    return found


async def renamed(house: House, times: int) -> WorkspaceId:
    workspace_id = await house.workspace("n0")
    for number in range(1, times):
        await house.accept(RenameWorkspace(workspace_id=workspace_id, name=f"n{number}"))
    await house.kernel.projector.wait_for(workspace_id, times)  # what it still reads would be counted
    return workspace_id


def name_in(row: bytes | None) -> bytes:
    assert row is not None
    return row.partition(b'"name":"')[2].partition(b'"')[0]


@pytest.mark.parametrize("seed", range(12))
async def test_the_past_is_what_the_views_held_then(seed: int) -> None:
    story, told = Story(seed), dict[tuple[WorkspaceId, int], Rows]()
    async with make_kernel(views=ALL) as house:
        for _ in range(25):
            await story.step(house, at_once=3)
            for head in await house.log.heads():
                at = (head.workspace_id, house.kernel.feed.head(head.workspace_id))
                if at not in told:
                    told[at] = await live(house, head.workspace_id)
        places = list(told)
        story.random.shuffle(places)

        for workspace_id, seq in places:
            assert await then(house.kernel.past, workspace_id, seq) == told[workspace_id, seq], seq


@pytest.mark.parametrize("seed", range(4))
async def test_a_state_of_the_past_is_the_state_that_was_there(seed: int) -> None:
    story, told = Story(seed), dict[tuple[WorkspaceId, int], tuple[str, str]]()
    async with make_kernel() as house:
        for _ in range(15):
            await story.step(house, at_once=2)
            for ledger in house.kernel.cabinet.ledgers():
                told[ledger.workspace_id, ledger.seq] = (ledger.head_hash, ledger.state_hash())

        for (workspace_id, seq), expected in told.items():
            found = await house.kernel.past.ledger(workspace_id, seq=seq, imported_to=None)
            assert (found.head_hash, found.state_hash()) == expected


async def test_a_time_means_the_last_event_that_is_not_later() -> None:
    async with make_kernel() as house:
        workspace_id = await house.workspace("n0")
        for pause in (0, 1, 0, 0, 5, 0):
            house.clock.later(pause)
            await house.accept(RenameWorkspace(workspace_id=workspace_id, name=f"n{pause}"))
            await house.accept(RenameWorkspace(workspace_id=workspace_id, name="other"))
        times = [to_micros(each.timestamp) for each in await house.stored(workspace_id)]
        head = len(times)

        for offset in (-1, 0, 1):
            for time in set(times):
                at = Micros(time + offset)
                expected = sum(each <= at for each in times)
                assert await house.kernel.past.seq_at(workspace_id, at, head=head) == expected
        assert await house.kernel.past.seq_at(workspace_id, times[-1], head=3) == sum(
            each <= times[-1] for each in times[:3]
        )


async def test_what_was_folded_is_not_folded_again() -> None:
    log = CountedLog()
    async with make_kernel(log=log) as house:
        workspace_id = await renamed(house, 60)
        past = house.kernel.past
        await past.scene(WORKSPACES, workspace_id, seq=40)
        before = log.events_read

        again = await past.scene(WORKSPACES, workspace_id, seq=40)
        assert log.events_read == before
        later = await past.scene(WORKSPACES, workspace_id, seq=50)
        assert log.events_read == before + 10

    assert name_in(again.row("workspaces", workspace_id)) == b"n39"
    assert name_in(later.row("workspaces", workspace_id)) == b"n49"


async def test_many_who_ask_for_the_same_moment_fold_it_once() -> None:
    log = CountedLog()
    async with make_kernel(log=log) as house:
        workspace_id = await renamed(house, 30)
        before = log.events_read
        asked = (house.kernel.past.scene(WORKSPACES, workspace_id, seq=30) for _ in range(10))
        scenes = await asyncio.gather(*asked)

        assert log.events_read == before + 30
        assert {id(each) for each in scenes} == {id(scenes[0])}


async def test_a_fold_goes_in_slices_and_gives_everybody_else_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_module, "SLICE_EVENTS", 5)
    log = CountedLog()
    async with make_kernel(log=log) as house:
        workspace_id = await renamed(house, 100)
        log.largest = 0
        folding = asyncio.create_task(house.kernel.past.scene(WORKSPACES, workspace_id, seq=100), name="fold")
        passed = 0
        while not folding.done():
            passed += 1
            await turns(1)

    assert log.largest == 5
    assert passed >= 20


async def test_more_folds_than_there_is_room_for_are_told_to_come_again() -> None:
    log = CountedLog()
    async with make_kernel(log=log) as house:
        workspace_id = await renamed(house, 10)
        past = house.kernel.past
        log.open.clear()
        log.reading.clear()
        asked = [
            asyncio.create_task(past.scene(WORKSPACES, workspace_id, seq=seq), name=f"fold {seq}")
            for seq in range(1, past_module.FOLDS_MAX + 1)
        ]
        await log.reading.wait()
        await turns(1)

        with pytest.raises(Refused) as refused:
            await past.scene(WORKSPACES, workspace_id, seq=9)
        assert refused.value.rejection.code is Code.UNAVAILABLE
        log.open.set()
        await asyncio.gather(*asked)
        assert (await past.scene(WORKSPACES, workspace_id, seq=9)).seq == 9


async def test_a_fold_that_was_cut_short_is_made_by_the_next_who_asks() -> None:
    log = CountedLog()
    async with make_kernel(log=log) as house:
        workspace_id = await renamed(house, 10)
        log.open.clear()
        log.reading.clear()
        first, second = (
            asyncio.create_task(house.kernel.past.scene(WORKSPACES, workspace_id, seq=10), name=name)
            for name in ("first", "second")
        )
        await log.reading.wait()
        await turns(1)
        first.cancel()
        log.open.set()

        assert (await second).seq == 10
        assert first.cancelled()


async def test_what_is_kept_is_bounded_in_number_and_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_module, "SCENES_MAX", 3)
    async with make_kernel() as house:
        workspace_id = await renamed(house, 20)
        past = Past(house.log)
        for seq in range(1, 11):
            await past.scene(WORKSPACES, workspace_id, seq=seq)
        assert [scene.seq for scene in past.scenes_kept()] == [8, 9, 10]
        await past.scene(WORKSPACES, workspace_id, seq=8)
        await past.scene(WORKSPACES, workspace_id, seq=11)
        assert [scene.seq for scene in past.scenes_kept()] == [10, 8, 11]

        monkeypatch.setattr(past_module, "SCENE_ROWS_MAX", 1)
        scarce = Past(house.log)
        for seq in (1, 2):
            await scarce.scene(WORKSPACES, workspace_id, seq=seq)
        assert [scene.seq for scene in scarce.scenes_kept()] == [2]
