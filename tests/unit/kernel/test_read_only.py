"""A disk that takes no writes: what is durable is shown, nothing else is, and it mends by itself."""

import pytest

from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.kernel import cabinet as cabinet_module
from moduprompt.kernel.cabinet import AGAIN_S
from moduprompt.protocol import Answer, WorkspaceId
from moduprompt.storage.port import StorageFailed, StorageFull
from tests.support.deadline import turns
from tests.support.kernel import House, accepted, make_kernel, reason, rejection

READ_ONLY = StorageFull("read-only file system")


async def turn_read_only(house: House, ws: WorkspaceId, *, after_writing: bool = False) -> None:
    """An order finds out: its commit fails, and so does what would take the workspace up again."""
    house.log.claim_failure = READ_ONLY
    house.log.fail_next(READ_ONLY, after_writing=after_writing)
    assert reason(await rename(house, ws, "lost")) == "unavailable/storage_full"


async def rename(house: House, ws: WorkspaceId, name: str) -> Answer:
    return await house.submit(RenameWorkspace(workspace_id=ws, name=name), key=name)


async def name_shown(house: House, ws: WorkspaceId) -> str | None:
    ledger = await house.kernel.look(ws)
    state = ledger.find(WorkspaceState, ws) if ledger is not None else None
    return None if state is None else state.name


async def test_what_was_durable_is_shown_and_orders_are_refused() -> None:
    async with make_kernel() as house:
        ws = await house.workspace("core")
        await turn_read_only(house, ws)

        assert await name_shown(house, ws) == "core"
        refused = rejection(await rename(house, ws, "again"))
        assert (refused.code.value, refused.message) == ("unavailable", "the disk takes no writes")
        assert "writable" in (refused.hint or "")
        assert house.kernel.hindrances() == {"disk": "the disk takes no writes"}


async def test_what_a_failed_commit_left_behind_is_not_shown_before_it_is_durable() -> None:
    async with make_kernel() as house:
        ws = await house.workspace("core")
        await turn_read_only(house, ws, after_writing=True)

        assert len(await house.stored(ws)) == 2, "it is in the file"
        assert await name_shown(house, ws) == "core", "and may be gone with the power"
        assert house.kernel.feed.head(ws) == 1
        assert not (await rename(house, ws, "lost")).accepted, "its key is no answer either"

        house.log.claim_failure = None
        house.clock.later(AGAIN_S)
        await turns()
        assert await name_shown(house, ws) == "lost"
        assert accepted(await rename(house, ws, "lost")).seq_global == 2


async def test_it_mends_by_itself_and_nobody_has_to_order_anything() -> None:
    async with make_kernel() as house:
        ws = await house.workspace("core")
        await turn_read_only(house, ws)
        for _ in range(3):
            house.clock.later(AGAIN_S)
            await turns()
            assert "disk" in house.kernel.hindrances()

        house.log.claim_failure = None
        house.clock.later(AGAIN_S)
        await turns()
        assert house.kernel.hindrances() == {}
        assert accepted(await rename(house, ws, "after")).seq_global == 2


async def test_a_workspace_that_was_not_in_memory_is_shown_too() -> None:
    async with make_kernel() as house:
        ws = await house.workspace("core")
        log = house.log.inner
    async with make_kernel(log=log) as house:
        house.kernel.cabinet.forget([ws])
        house.log.claim_failure = READ_ONLY
        assert await name_shown(house, ws) == "core"
        assert house.kernel.hindrances() == {"disk": "the disk takes no writes"}


async def test_what_is_not_there_is_not_shown() -> None:
    async with make_kernel() as house:
        ws = await house.workspace("core")
        await turn_read_only(house, ws)
        assert await house.kernel.look(WorkspaceId(ws[:-1] + "f")) is None


async def test_what_is_shown_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cabinet_module, "SHOWN_MAX", 2)
    async with make_kernel() as house:
        homes = [await house.workspace(name) for name in "abcd"]
        for ws in homes:
            await turn_read_only(house, ws)

        assert [await name_shown(house, ws) for ws in homes] == list("abcd")
        assert [house.kernel.cabinet.shown(ws) is not None for ws in homes] == [False, False, True, True]


async def test_a_disk_that_can_not_be_read_either_is_not_called_read_only() -> None:
    async with make_kernel() as house:
        ws = await house.workspace("core")
        await turn_read_only(house, ws)
        house.log.read_failure = StorageFailed("gone")
        with pytest.raises(StorageFailed):
            await house.kernel.look(ws)
