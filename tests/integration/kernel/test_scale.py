"""Many workspaces and a long log, on real files: what a start loads, and that everything is still there."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import pytest
from bench.history import History

from moduprompt.domain.task.state import TaskState
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.kernel import snapshotter
from moduprompt.protocol import SYSTEM_WORKSPACE, WorkspaceId
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.snapshots import open_snapshots
from tests.support.clocks import CountingMint
from tests.support.kernel import House, make_kernel

WORKSPACES: Final = 10_000
AT_ONCE: Final = 500  # commands under way: fewer than the inbox takes
ASKED: Final = 100  # one in so many is loaded: each load is a commit, and the disk of a test machine is slow
TASKS: Final = 100_000
MOVES: Final = 9  # of each task, so that it leaves ten events: a million of them

T = TypeVar("T")


@asynccontextmanager
async def a_daemon(folder: Path, mint: CountingMint) -> AsyncGenerator[House]:
    """A kernel on the files of a folder; read models in memory."""
    log = await SqliteLog.open(folder / "log.sqlite")
    snapshots = await open_snapshots(folder / "snapshots.sqlite")
    try:
        async with make_kernel(log=log, snapshots=snapshots, views=(), mint=mint) as house:
            yield house
    finally:
        await snapshots.close()
        await log.close()


async def at_once(work: Iterable[Awaitable[T]]) -> list[T]:
    """All of it, in order, AT_ONCE at a time."""
    done, left = list[T](), iter(work)
    while some := tuple(islice(left, AT_ONCE)):
        done += await asyncio.gather(*some)
    return done


def loaded(house: House) -> set[WorkspaceId]:
    return {each.workspace_id for each in house.kernel.cabinet.ledgers()} - {SYSTEM_WORKSPACE}


async def test_of_ten_thousand_workspaces_a_start_loads_only_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshotter, "FINISH_S", 3_600)  # on a busy machine the end takes its time
    mint = CountingMint()
    async with a_daemon(tmp_path, mint) as house:
        made = await at_once(house.workspace(f"number {number}") for number in range(WORKSPACES))
        assert len(set(made)) == WORKSPACES

    async with a_daemon(tmp_path, mint) as house:
        assert loaded(house) == set()
        assert set(house.kernel.cabinet.known()) == {SYSTEM_WORKSPACE, *made}
        assert {house.kernel.feed.head(each) for each in made} == {1}

        await house.accept(RenameWorkspace(workspace_id=made[4_711], name="needed"))
        assert loaded(house) == {made[4_711]}

        asked = made[::ASKED]
        ledgers = await at_once(house.kernel.cabinet.load(each) for each in asked)
        names = [ledger.find(WorkspaceState, ledger.workspace_id) for ledger in ledgers]
        assert [each.name for each in names if each is not None] == [
            f"number {number}" for number in range(0, WORKSPACES, ASKED)
        ]
        assert loaded(house) == {made[4_711], *asked}


@pytest.mark.timeout(1_200)  # twenty seconds of processor: a busy machine is no hang
async def test_a_long_log_folds_to_the_same_from_its_events_and_from_its_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshotter, "FINISH_S", 3_600)
    mint = CountingMint()
    async with a_daemon(tmp_path, mint) as house:
        history = History(1, owner_id=house.kernel.owner_id)
    log = await SqliteLog.open(tmp_path / "log.sqlite")
    history.begin()
    for _ in range(TASKS):
        history.add_task(moves=MOVES)
        for part in history.batches():
            await log.append([part])
    for part in history.batches(flush=True):
        await log.append([part])
    await log.close()

    async with a_daemon(tmp_path, mint) as house:
        folded = await house.kernel.cabinet.load(history.workspace_id)
        assert folded.seq == history.seq == 2 + TASKS * (1 + MOVES)
        assert len(list(folded.ids(TaskState))) == TASKS
        state_hash = folded.state_hash()

    async with a_daemon(tmp_path, mint) as house:
        assert loaded(house) == set()
        restored = await house.kernel.cabinet.load(history.workspace_id)
        assert restored.snapshot is not None
        assert restored.snapshot.seq == history.seq
        assert restored.state_hash() == state_hash
