"""Random lives of a whole kernel, on a log in memory and on SQLite: the invariants hold, and the logs agree.

A failing life prints its seed in the test's name; `-k seed` runs it again.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from moduprompt.domain.deciders import VIEWS
from moduprompt.kernel.cabinet import Cabinet
from moduprompt.protocol import SYSTEM_WORKSPACE
from moduprompt.storage.memory.log import MemoryLog
from moduprompt.storage.memory.views import MemoryViews
from moduprompt.storage.port import Append, EventLog, StorageFailed, ViewStore
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.views import SqliteViews
from tests.support.clocks import CountingMint, FakeClock
from tests.support.deadline import eventually_async, turns
from tests.support.kernel import GatedLog, House, make_kernel, unheard
from tests.support.kernel_stories import Story, holds

SEEDS = range(8)
STEPS = 40
Adapter = Callable[[Path], AbstractAsyncContextManager[tuple[EventLog, ViewStore]]]
COLLECTIONS = [name for view in VIEWS for name, _ in view.collections]


@asynccontextmanager
async def on_memory(_: Path) -> AsyncGenerator[tuple[EventLog, ViewStore]]:
    yield MemoryLog(), MemoryViews()


@asynccontextmanager
async def on_sqlite(folder: Path) -> AsyncGenerator[tuple[EventLog, ViewStore]]:
    log = await SqliteLog.open(folder / "log.sqlite")
    views = await SqliteViews.open(folder / "views.sqlite", views=VIEWS)
    yield log, views
    await views.close()
    await log.close()


async def rows(store: ViewStore) -> dict[str, list[tuple[str, bytes]]]:
    return {name: await store.rows(name, workspace_id=None, after="", limit=10_000) for name in COLLECTIONS}


async def copied(log: EventLog) -> MemoryLog:
    """The same bytes, so that folding them claims nothing of the living one."""
    copy = MemoryLog()
    for head in await log.heads():
        stored = await log.read(head.workspace_id, after=0, limit=10_000)
        part = Append(
            workspace_id=head.workspace_id,
            expected_seq=0,
            epoch=1,
            head_hash=head.head_hash,
            events=tuple(stored),
        )
        await copy.append([part])
    return copy


async def replayed(log: EventLog) -> dict[str, bytes]:
    """Each workspace folded from zero."""
    copy = await copied(log)
    cabinet = Cabinet(copy, loaded=unheard)
    found = [await cabinet.find(workspace_id) for workspace_id in await cabinet.open()]
    return {ledger.workspace_id: ledger.state_hash().encode() for ledger in found if ledger is not None}


async def rebuilt_rows(log: EventLog) -> dict[str, list[tuple[str, bytes]]]:
    copy = await copied(log)
    async with make_kernel(log=copy, views_store=MemoryViews()) as fresh:
        await caught_up(fresh)
        return await rows(fresh.views)


async def caught_up(house: House) -> None:
    await eventually_async(lambda: is_quiet(house))
    for head in await house.log.heads():
        await house.kernel.projector.wait_for(head.workspace_id, head.seq)


async def check(house: House, story: Story) -> None:
    await caught_up(house)
    await holds(house, story, rebuilt=lambda: replayed(house.log.inner))
    assert await rows(house.views) == await rebuilt_rows(house.log.inner)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("adapter", [on_memory, on_sqlite])
async def test_the_invariants_hold(tmp_path: Path, adapter: Adapter, seed: int) -> None:
    async with adapter(tmp_path) as (log, views):
        story, clock = Story(seed), FakeClock()
        async with make_kernel(log=log, views_store=views, clock=clock) as house:
            for _ in range(STEPS):
                await story.step(house, at_once=4)
            await check(house, story)
            before = sum(head.seq for head in await log.heads())
        assert len(story.told) > STEPS // 2

        async with make_kernel(log=log, views_store=views, clock=clock, mint=far_mint()) as house:
            await check(house, story)
            assert sum(head.seq for head in await log.heads()) == before
            await story.step(house, at_once=4)
            await check(house, story)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("adapter", [on_memory, on_sqlite])
async def test_the_invariants_hold_on_a_disk_that_fails(tmp_path: Path, adapter: Adapter, seed: int) -> None:
    async with adapter(tmp_path) as (log, views):
        story, gated = Story(seed), GatedLog(log)
        async with make_kernel(log=gated, views_store=views) as house:
            for number in range(STEPS):
                if number and story.random.random() < 0.4:
                    gated.fail_next(StorageFailed("planted"), after_writing=story.random.random() < 0.5)
                await story.step(house, at_once=4)
            await check(house, story)


@pytest.mark.parametrize("seed", SEEDS)
async def test_memory_and_sqlite_hold_the_same_bytes(tmp_path: Path, seed: int) -> None:
    """One client at a time: how commands interleave is the loop's affair, what they leave is not."""
    logs: list[list[bytes]] = []
    hashes: list[dict[str, bytes]] = []
    for adapter in (on_memory, on_sqlite):
        async with adapter(tmp_path) as (log, views):
            story = Story(seed)
            async with make_kernel(log=log, views_store=views) as house:
                for _ in range(STEPS):
                    await story.step(house, at_once=1)
                    await settled(house)
            heads = await log.heads()
            logs.append(
                [
                    each.data
                    for head in heads
                    for each in await log.read(head.workspace_id, after=0, limit=10_000)
                ]
            )
            hashes.append(await replayed(log))

    assert logs[0] == logs[1]
    assert hashes[0] == hashes[1]


async def settled(house: House) -> None:
    """Timers that came due have fired and are written."""
    await eventually_async(lambda: is_quiet(house))


async def is_quiet(house: House) -> bool:
    before = [head.seq for head in await house.log.heads()]
    await house.log.find_key(SYSTEM_WORKSPACE, actor="nobody", key="none")
    await turns(20)
    return house.kernel.waiting() == 0 and before == [head.seq for head in await house.log.heads()]


def far_mint() -> CountingMint:
    """Ids that the first life has not used."""
    mint = CountingMint()
    for _ in range(50_000):
        mint.new_id()
    return mint
