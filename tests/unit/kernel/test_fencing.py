"""Two kernels on one log, both alive: whoever was overtaken stops, and steals nothing back."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.kernel.cabinet import OVERTAKEN
from moduprompt.protocol import SYSTEM_WORKSPACE, WorkspaceId
from moduprompt.storage.port import HeadMoved, StorageFailed
from tests.support.clocks import CountingMint
from tests.support.kernel import House, accepted, events_of, make_kernel, reason, rejection
from tests.support.stores import OpenLog, memory_log, sqlite_log

ANOTHER = 0x2_0000  # from where the second kernel's ids are counted
STOPPED = f"unavailable/{OVERTAKEN}"


@pytest.fixture(params=(memory_log, sqlite_log), ids=lambda make: make.__name__)
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLog:
    make: Callable[[Path], OpenLog] = request.param
    return make(tmp_path)


async def rename(house: House, ws: WorkspaceId, name: str, key: str | None = None) -> str:
    """What became of it, in one word."""
    answer = await house.submit(RenameWorkspace(workspace_id=ws, name=name), key=key)
    return "accepted" if answer.accepted else reason(answer)


async def seqs(house: House, ws: WorkspaceId) -> list[int]:
    return [event.seq_global for event in await house.stored(ws)]


async def test_a_kernel_that_was_overtaken_stops_and_the_other_goes_on(open_log: OpenLog) -> None:
    one_log, two_log = await open_log(), await open_log()
    async with make_kernel(log=one_log) as one:
        ws = await one.workspace()
        async with make_kernel(log=two_log, mint=CountingMint(after=ANOTHER)) as two:
            assert await rename(two, ws, "theirs") == "accepted"

            assert (await rename(one, ws, "mine", key="k")).startswith("unavailable")
            for again in ("mine", "mine again"):
                assert await rename(one, ws, again, key="k" if again == "mine" else None) == STOPPED
                assert await rename(two, ws, again) == "accepted"

            assert await seqs(two, ws) == [1, 2, 3, 4]
            assert [ws] == one.kernel.cabinet.overtaken()
            assert ws in one.kernel.hindrances()["writer"]
            assert two.kernel.hindrances() == {}
    await one_log.close()
    await two_log.close()


async def test_what_nobody_has_claimed_stays_with_its_owner(open_log: OpenLog) -> None:
    log, other = await open_log(), await open_log()
    async with make_kernel(log=log) as house:
        lost, kept = await house.workspace("lost"), await house.workspace("kept")
        await other.claim(lost)

        assert (await rename(house, lost, "a")).startswith("unavailable")
        assert await rename(house, lost, "a") == STOPPED
        assert await rename(house, kept, "a") == "accepted"
        assert await house.workspace("new") not in house.kernel.cabinet.overtaken()
    await log.close()
    await other.close()


async def test_who_was_overtaken_says_what_to_do(open_log: OpenLog) -> None:
    one_log, two_log = await open_log(), await open_log()
    async with make_kernel(log=one_log) as one:
        ws = await one.workspace()
        async with make_kernel(log=two_log, mint=CountingMint(after=ANOTHER)) as two:
            assert await rename(two, ws, "theirs") == "accepted"
            await rename(one, ws, "first")

            refused = rejection(await one.submit(RenameWorkspace(workspace_id=ws, name="second")))

            assert refused.details == {"reason": OVERTAKEN, "workspace_id": ws, "retry_after_s": 1}
            assert "mpd start" in (refused.hint or "")
    await one_log.close()
    await two_log.close()


async def test_a_restart_takes_over_again(open_log: OpenLog) -> None:
    one_log, two_log = await open_log(), await open_log()
    async with make_kernel(log=two_log, mint=CountingMint(after=ANOTHER)) as two:
        ws = await two.workspace()
        async with make_kernel(log=one_log) as one:
            assert await rename(one, ws, "overtakes") == "accepted"
            assert (await rename(two, ws, "late")).startswith("unavailable")
            assert await rename(two, ws, "later") == STOPPED
    async with make_kernel(log=two_log, mint=CountingMint(after=2 * ANOTHER)) as again:
        assert await rename(again, ws, "new", key="new") == "accepted"
        assert await seqs(again, ws) == [1, 2, 3]
    await one_log.close()
    await two_log.close()


@pytest.mark.parametrize("after_writing", [False, True])
@pytest.mark.parametrize("fault", [StorageFailed("eio"), HeadMoved("fenced")])
async def test_after_an_outcome_that_is_unknown_the_owner_goes_on_in_its_epoch(
    open_log: OpenLog, fault: Exception, after_writing: bool
) -> None:
    log = await open_log()
    async with make_kernel(log=log) as house:
        ws = await house.workspace()
        before = {head.workspace_id: head.epoch for head in await log.heads()}
        for number in range(3):
            house.log.fail_next(fault, after_writing=after_writing)
            assert (await rename(house, ws, f"{number}", key=f"{number}")).startswith("unavailable")
            assert await rename(house, ws, f"{number}", key=f"{number}") == "accepted"

        assert {head.workspace_id: head.epoch for head in await log.heads()} == before
        assert await seqs(house, ws) == [1, 2, 3, 4]
    await log.close()


async def test_a_workspace_whose_making_has_an_unknown_outcome_stays_ours(open_log: OpenLog) -> None:
    log = await open_log()
    async with make_kernel(log=log) as house:
        house.log.fail_next(StorageFailed("eio"), after_writing=True)
        create = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="new")
        assert reason(await house.submit(create, key="make")).startswith("unavailable")
        ws = events_of(accepted(await house.submit(create, key="make")))[0].workspace_id

        assert await rename(house, ws, "mine") == "accepted"
    await log.close()


async def test_who_was_overtaken_by_an_unread_disk_stops_when_it_can_be_read_again(open_log: OpenLog) -> None:
    """An outcome that is unknown, another owner in the meantime, and only then a look."""
    one_log, two_log = await open_log(), await open_log()
    async with make_kernel(log=one_log) as one:
        ws = await one.workspace()
        one.log.hold()
        lost = asyncio.create_task(rename(one, ws, "lost"))
        await one.log.started.wait()
        one.log.fail_next(StorageFailed("eio"))
        one.log.read_failure = StorageFailed("eio")
        one.log.release()
        assert (await lost).startswith("unavailable")
        async with make_kernel(log=two_log, mint=CountingMint(after=ANOTHER)) as two:
            assert await rename(two, ws, "theirs") == "accepted"
            one.log.read_failure = None

            assert await rename(one, ws, "mine") == STOPPED
            assert await rename(two, ws, "theirs again") == "accepted"
    await one_log.close()
    await two_log.close()
