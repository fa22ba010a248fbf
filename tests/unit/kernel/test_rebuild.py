"""A view is made again beside the one that serves, and nobody notices but by its rows."""

import asyncio
import copy
from collections.abc import Sequence

import msgspec
import pytest

from moduprompt.domain.decider import Event
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import Item, Rows, Stamp, View
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.domain.workspace.events import WorkspaceEvent, WorkspaceRenamed
from moduprompt.kernel.tracks import Rebuild, Track
from moduprompt.protocol import Refused, WorkspaceId
from moduprompt.storage.memory.views import MemoryShadow, MemoryViews
from moduprompt.storage.port import Step, StorageFailed
from tests.support.clocks import CountingMint
from tests.support.deadline import eventually_async
from tests.support.kernel import House, make_kernel
from tests.unit.kernel.test_projector import caught_up, everything


class Named(Item, frozen=True, kw_only=True):
    """What a workspace was called last."""

    name: str


def fold_names(rows: Rows, event: Event, stamp: Stamp) -> None:
    if not isinstance(event, WorkspaceRenamed):
        return
    rows.put(
        Named(
            id=stamp.workspace_id,
            workspace_id=stamp.workspace_id,
            version=stamp.version,
            created_at=stamp.timestamp,
            updated_at=stamp.timestamp,
            name=event.name,
        )
    )


def fold_loud(rows: Rows, event: Event, stamp: Stamp) -> None:
    if isinstance(event, WorkspaceRenamed) and event.name == "poison":
        raise ValueError("can't take it")
    fold_names(rows, event, stamp)


NAMES = View(
    name="names", version=1, collections=(("names", Named),), fold=fold_names, takes=(WorkspaceEvent,)
)
NAMES_2 = msgspec.structs.replace(NAMES, version=2)
LOUD = msgspec.structs.replace(NAMES, fold=fold_loud)


def track_of(house: House, name: str) -> Track:
    found = house.kernel.projector.tracks.named(name)
    assert found is not None
    return found


def ask_for(house: House, *names: str) -> None:
    house.kernel.projector.rebuilds.ask_for([track_of(house, name) for name in names])


async def rebuilt(house: House, name: str) -> Rebuild | None:
    """How it ended: None, or why it was given up."""
    track = track_of(house, name)

    async def is_over() -> bool:
        return track.rebuild is None or not track.rebuild.is_under_way

    await eventually_async(is_over)
    return track.rebuild


async def name_in(house: House, ws: WorkspaceId) -> str | None:
    found = await house.views.row("names", ws)
    return None if found is None else msgspec.json.decode(found[1], type=Named).name


async def rename(house: House, ws: WorkspaceId, *names: str) -> None:
    for name in names:
        await house.accept(RenameWorkspace(workspace_id=ws, name=name))


async def test_a_rebuild_under_writes_ends_with_the_rows_of_the_log() -> None:
    async with make_kernel() as house:
        ws, other = await house.workspace("a"), await house.workspace("b")

        async def write(home: WorkspaceId) -> None:
            for number in range(60):
                await rename(house, home, f"n{number}")

        writing = asyncio.gather(write(ws), write(other))
        while not writing.done():
            ask_for(house, *(view.name for view in VIEWS))
            assert await rebuilt(house, "workspaces") is None
        await writing
        ask_for(house, "workspaces", "projects")
        assert await rebuilt(house, "workspaces") is None
        await caught_up(house, ws, other)
        live, log = await everything(house.views), house.log.inner
    async with make_kernel(log=log, views_store=MemoryViews()) as house:
        await caught_up(house, ws, other)
        assert await everything(house.views) == live


class HeldViews(MemoryViews):
    """Shadows of it fold when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()
        self.fails = False

    async def shadow(self, view: View) -> MemoryShadow:
        made = await super().shadow(view)
        whole = made.apply

        async def held(steps: Sequence[Step]) -> None:
            self.begun.set()
            await self.gate.wait()
            if self.fails:
                raise StorageFailed("no room")
            await whole(steps)

        made.apply = held  # type: ignore[method-assign]  # what is held back is this one shadow
        return made


async def test_while_it_is_made_the_old_view_serves_and_takes_what_is_new() -> None:
    store = HeldViews()
    async with make_kernel(views=(NAMES,), views_store=store) as house:
        ws = await house.workspace()
        await rename(house, ws, "x")
        ask_for(house, "names")
        await store.begun.wait()
        await rename(house, ws, "y")
        await caught_up(house, ws)
        assert await name_in(house, ws) == "y"

        store.gate.set()
        assert await rebuilt(house, "names") is None
        assert await name_in(house, ws) == "y"
        await rename(house, ws, "z")
        await caught_up(house, ws)
        assert await name_in(house, ws) == "z"


async def test_a_rebuild_that_fails_leaves_the_old_rows_and_says_why() -> None:
    store = HeldViews()
    async with make_kernel(views=(NAMES,), views_store=store) as house:
        ws = await house.workspace()
        await rename(house, ws, "x")
        await caught_up(house, ws)
        store.fails = True
        store.gate.set()
        ask_for(house, "names")
        ended = await rebuilt(house, "names")

        assert ended is not None
        assert ended.failure == "no room"
        assert await name_in(house, ws) == "x"
        store.fails = False
        ask_for(house, "names")
        assert await rebuilt(house, "names") is None


async def test_another_version_is_made_beside_the_rows_of_the_old_one() -> None:
    store = HeldViews()
    async with make_kernel(views=(NAMES,), views_store=store) as house:
        ws = await house.workspace()
        await rename(house, ws, "x")
        await caught_up(house, ws)
        log = house.log.inner
    async with make_kernel(log=log, views=(NAMES_2,), views_store=store) as house:
        await store.begun.wait()
        assert await name_in(house, ws) == "x"
        reading = asyncio.create_task(caught_up(house, ws))
        await rename(house, ws, "y")
        assert not reading.done()

        store.gate.set()
        await reading
        await caught_up(house, ws)
        assert await name_in(house, ws) == "y"
        assert await store.position(NAMES_2, ws) == 3


async def test_a_view_that_stopped_goes_on_when_its_code_is_mended() -> None:
    store = MemoryViews()
    async with make_kernel(views=(*VIEWS, LOUD), views_store=store) as house:
        ws, other = await house.workspace("a"), await house.workspace("b")
        await rename(house, ws, "x", "poison", "y")
        await rename(house, other, "z")
        head = house.kernel.feed.head(ws)
        with pytest.raises(Refused) as refused:
            await house.kernel.projector.wait_for(ws, head, of=("names",))
        details = refused.value.rejection.details
        assert details is not None
        event_id = msgspec.json.decode((await house.log.inner.read(ws, after=2, limit=1))[0].data)["event_id"]
        assert (details["view"], details["seq"], details["event_id"]) == ("names", 3, event_id)
        assert await name_in(house, ws) == "x"

        await house.kernel.projector.wait_for(ws, head, of=("workspaces",))
        await house.kernel.projector.wait_for(other, 2, of=("names",))
        assert await name_in(house, other) == "z"
        log = house.log.inner
    async with make_kernel(log=log, views=(*VIEWS, NAMES), views_store=store) as house:
        await caught_up(house, ws)
        assert await name_in(house, ws) == "y"


async def test_rows_of_a_log_that_was_longer_are_folded_again() -> None:
    """An older log was restored: what came after it has not happened."""
    store = MemoryViews()
    async with make_kernel(views_store=store) as house:
        ws = await house.workspace("a")
        older = copy.deepcopy(house.log.inner)
        await rename(house, ws, "of the future")
        await caught_up(house, ws)
    async with make_kernel(log=older, views_store=store) as house:
        await caught_up(house, ws)
        assert (
            b"future" not in (await house.views.rows("workspaces", workspace_id=ws, after="", limit=9))[0][1]
        )


async def test_rows_of_a_log_that_went_another_way_are_folded_again() -> None:
    """As long as before, but with other events: the sequence alone does not tell."""
    store, mint = MemoryViews(), CountingMint()
    async with make_kernel(views_store=store, mint=mint) as house:
        ws = await house.workspace("a")
        older = copy.deepcopy(house.log.inner)
        await rename(house, ws, "once", "then")
        await caught_up(house, ws)
    async with make_kernel(log=older, views_store=MemoryViews(), mint=mint) as house:
        await rename(house, ws, "otherwise", "now", "later")
        log = house.log.inner
    async with make_kernel(log=log, views_store=store) as house:
        await caught_up(house, ws)
        assert b"later" in (await house.views.rows("workspaces", workspace_id=ws, after="", limit=9))[0][1]
        fresh = MemoryViews()
        live = await everything(house.views)
    async with make_kernel(log=log, views_store=fresh) as house:
        await caught_up(house, ws)
        assert await everything(house.views) == live
