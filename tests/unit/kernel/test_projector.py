"""Read models: what the log says, never ahead of it, and never silently behind."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from moduprompt.domain.decider import Event
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import Rows, Stamp, View
from moduprompt.domain.project.commands import RenameProject
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.domain.workspace.events import WorkspaceRenamed
from moduprompt.kernel import tracks
from moduprompt.protocol import Code, Refused
from moduprompt.storage.memory.views import MemoryViews
from moduprompt.storage.port import Step, StorageFailed, ViewStore
from tests.support.deadline import HANG_S
from tests.support.kernel import House, make_kernel

COLLECTIONS = [name for view in VIEWS for name, _ in view.collections]


async def everything(store: ViewStore) -> dict[str, list[tuple[str, bytes]]]:
    return {name: await store.rows(name, workspace_id=None, after="", limit=10_000) for name in COLLECTIONS}


async def caught_up(house: House, *workspaces: str) -> None:
    for ws in workspaces:
        await house.kernel.projector.wait_for(ws, house.kernel.feed.head(ws))  # type: ignore[arg-type]


async def test_live_rows_equal_a_rebuild_from_zero() -> None:
    async with make_kernel() as house:
        ws, other = await house.workspace("a"), await house.workspace("b")
        project_id = await house.project(ws)
        await house.accept(RenameProject(workspace_id=ws, project_id=project_id, name="x"))
        await house.submit(
            RenameProject(workspace_id=ws, project_id=project_id, name="y"), expected_version=99
        )
        await caught_up(house, ws, other)
        live = await everything(house.views)
        log = house.log.inner
    async with make_kernel(log=log, views_store=MemoryViews()) as house:
        await caught_up(house, ws, other)

        assert await everything(house.views) == live
        assert live["projects"]


async def test_a_read_after_a_write_sees_it() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        for number in range(20):
            await house.accept(RenameWorkspace(workspace_id=ws, name=f"n{number}"))
            await caught_up(house, ws)
            row = await house.views.row("workspaces", ws)
            assert row is not None
            assert msgspec.json.decode(row[1])["name"] == f"n{number}"


def picky(rows: Rows, event: Event, stamp: Stamp) -> None:
    if isinstance(event, WorkspaceRenamed) and event.name == "poison":
        raise ValueError("can't take it")


async def test_an_event_that_a_view_cannot_take_stops_it_loudly(caplog: pytest.LogCaptureFixture) -> None:
    views = (*VIEWS, View(name="picky", version=1, collections=(), fold=picky))
    async with make_kernel(views=views) as house:
        ws = await house.workspace()
        await caught_up(house, ws)
        await house.accept(RenameWorkspace(workspace_id=ws, name="poison"))
        with pytest.raises(Refused) as refused:
            await caught_up(house, ws)
        assert refused.value.rejection.code is Code.UNAVAILABLE
        assert "stopped" in refused.value.rejection.message
        assert any(record.message == "view.stopped" for record in caplog.records)

        await house.accept(RenameWorkspace(workspace_id=ws, name="next"))
        with pytest.raises(Refused):
            await caught_up(house, ws)
        assert await house.views.position(views[-1], ws) == 1
        await house.kernel.projector.wait_for(ws, 1)


class FailingViews(MemoryViews):
    """A store whose disk fails some times."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0

    async def apply(self, views: Sequence[View], steps: Sequence[Step]) -> None:
        if self.failures:
            self.failures -= 1
            raise StorageFailed("full")
        await super().apply(views, steps)


async def test_a_disk_that_fails_for_a_while_is_tried_again() -> None:
    store = FailingViews()
    async with make_kernel(views_store=store) as house:
        ws = await house.workspace()
        await caught_up(house, ws)
        store.failures = 2
        await house.accept(RenameWorkspace(workspace_id=ws, name="x"))
        for _ in range(3):
            await house.accept(RenameWorkspace(workspace_id=ws, name=f"x{_}"))
        await caught_up(house, ws)

        assert store.failures == 0


async def test_a_read_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks, "WAIT_S", 0.01)
    async with make_kernel() as house:
        ws = await house.workspace()

        with pytest.raises(Refused) as refused:
            await house.kernel.projector.wait_for(ws, 99)
        assert refused.value.rejection.code is Code.UNAVAILABLE


async def test_a_reader_that_comes_before_the_first_look_is_woken_by_it() -> None:
    """After a restart there may be nothing to fold; whoever waits must hear of it all the same."""
    async with make_kernel() as house:
        ws = await house.workspace()
        await caught_up(house, ws)
        log, store = house.log.inner, house.views
    async with make_kernel(log=log, views_store=store) as house:
        async with asyncio.timeout(HANG_S):
            await caught_up(house, ws)


async def test_many_readers_wait_at_once() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        answers = [house.submit(RenameWorkspace(workspace_id=ws, name=f"n{number}")) for number in range(50)]
        await asyncio.gather(*answers)

        await asyncio.gather(*(house.kernel.projector.wait_for(ws, seq) for seq in range(1, 52)))
