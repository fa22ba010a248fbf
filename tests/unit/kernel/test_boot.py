"""A start loads what is wanted, and what it does not know well enough; the rest when it is first needed."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest

from moduprompt.domain.project.commands import RenameProject
from moduprompt.domain.session.commands import AgentSpec, SpawnSession
from moduprompt.domain.task.commands import CreateTask, SetDeadline
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.domain.worktree.intents import MakeWorktree
from moduprompt.kernel import cabinet, snapshotter
from moduprompt.protocol import SYSTEM_WORKSPACE, ProjectId, TaskId, WorkspaceId, to_timestamp
from moduprompt.storage.memory.log import MemoryLog
from moduprompt.storage.memory.snapshots import MemorySnapshots
from moduprompt.storage.memory.views import MemoryViews
from moduprompt.storage.port import StoredEvent
from tests.support.clocks import CountingMint, FakeClock
from tests.support.deadline import eventually_async, turns
from tests.support.kernel import FakeHand, GatedLog, House, events_of, make_kernel, reason

LATER_S = 3_600


class Disk:
    """What outlives a daemon, and time and ids with it."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.views = MemoryViews()
        self.snapshots = MemorySnapshots()
        self.clock = FakeClock()
        self.mint = CountingMint()

    def boot(self, *hands: FakeHand) -> AbstractAsyncContextManager[House]:
        """A daemon on it."""
        return make_kernel(
            log=GatedLog(self.log),
            views_store=self.views,
            snapshots=self.snapshots,
            clock=self.clock,
            mint=self.mint,
            hands=hands,
        )


def loaded(house: House) -> set[WorkspaceId]:
    return {ledger.workspace_id for ledger in house.kernel.cabinet.ledgers()} - {SYSTEM_WORKSPACE}


async def a_deadline(house: House, ws: WorkspaceId) -> TaskId:
    """A task with a time that is due LATER_S from now."""
    project_id = await house.project(ws)
    made = await house.accept(CreateTask(workspace_id=ws, project_id=project_id, title="t"))
    task_id = TaskId(events_of(made)[0].subject.id)
    due_at = to_timestamp(type(house.clock.now())(house.clock.now() + LATER_S * 1_000_000))
    await house.accept(SetDeadline(workspace_id=ws, task_id=task_id, due_at=due_at))
    return task_id


async def a_session_with_a_worktree(house: House, ws: WorkspaceId) -> None:
    project_id = await house.project(ws)
    agent = AgentSpec(adapter="command", argv=("true",))
    await house.accept(
        SpawnSession(workspace_id=ws, project_id=project_id, name="s", agent=agent, place="new_worktree")
    )


async def types_in(house: House, ws: WorkspaceId) -> list[str]:
    return [event.event_type for event in await house.stored(ws)]


async def test_after_an_orderly_end_nothing_is_loaded_until_it_is_needed() -> None:
    disk = Disk()
    async with disk.boot() as house:
        one, other = [await house.workspace(name) for name in "ab"]
        state = {ws: (await house.kernel.cabinet.load(ws)).state_hash() for ws in (one, other)}

    async with disk.boot() as house:
        assert loaded(house) == set()
        assert house.kernel.cabinet.known() == sorted([SYSTEM_WORKSPACE, one, other])
        assert [house.kernel.feed.head(ws) for ws in (one, other)] == [1, 1]
        await house.accept(RenameWorkspace(workspace_id=one, name="c"))
        assert loaded(house) == {one}
        assert (await house.kernel.cabinet.load(other)).state_hash() == state[other]


async def test_without_a_snapshot_all_of_it_is_loaded() -> None:
    disk = Disk()
    async with disk.boot() as house:
        ws = await house.workspace()
    await disk.snapshots.drop(ws)

    async with disk.boot() as house:
        assert loaded(house) == {ws}


async def test_what_grew_after_its_snapshot_is_loaded_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a killed daemon leaves it: the note is older than the log."""
    disk = Disk()
    async with disk.boot() as house:
        ws = await house.workspace()
    async with disk.boot() as house:
        await house.accept(RenameWorkspace(workspace_id=ws, name="x"))
        live = (await house.kernel.cabinet.load(ws)).state_hash()
        monkeypatch.setattr(snapshotter, "FINISH_S", 0)

    async with disk.boot() as house:
        assert loaded(house) == {ws}
        assert (await house.kernel.cabinet.load(ws)).state_hash() == live


async def test_a_timer_of_a_workspace_that_is_not_loaded_fires() -> None:
    disk = Disk()
    async with disk.boot() as house:
        ws = await house.workspace()
        await a_deadline(house, ws)

    async with disk.boot() as house:
        assert loaded(house) == set()
        disk.clock.later(LATER_S + 1)
        await turns()
        assert "task.deadline_missed" in await types_in(house, ws)
        assert loaded(house) == {ws}


async def test_a_timer_that_came_due_while_no_daemon_ran_fires_at_the_start() -> None:
    disk = Disk()
    async with disk.boot() as house:
        ws = await house.workspace()
        await a_deadline(house, ws)
    disk.clock.later(LATER_S + 1)

    async with disk.boot() as house:
        await turns()
        assert "task.deadline_missed" in await types_in(house, ws)


async def test_what_wants_hands_is_loaded_and_done() -> None:
    disk = Disk()
    waiting = FakeHand(MakeWorktree)
    async with disk.boot() as house:
        ws, other = [await house.workspace(name) for name in "ab"]
        await a_session_with_a_worktree(house, ws)

    async with disk.boot(waiting) as house:
        await turns()
        assert loaded(house) == {ws}
        assert len(waiting.asked) == 1
        assert other in house.kernel.cabinet.known()


def damaged(stored: StoredEvent) -> StoredEvent:
    return msgspec.structs.replace(stored, data=stored.data.replace(b'"name":"b"', b'"name":"x"'))


def spoil(log: MemoryLog, ws: WorkspaceId, change: Callable[[StoredEvent], StoredEvent]) -> None:
    events = log._events[ws]  # pyright: ignore[reportPrivateUsage] - no way to do this is meant to exist
    events[:] = [change(each) for each in events]


async def test_a_damaged_workspace_is_unavailable_and_the_others_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = Disk()
    async with disk.boot() as house:
        whole, broken = [await house.workspace(name) for name in "ab"]
        await house.project(whole)
        await house.project(broken)
    await disk.snapshots.drop(broken)
    spoil(disk.log, broken, damaged)

    with caplog.at_level(logging.ERROR):
        async with disk.boot() as house:
            assert [each.workspace_id for each in house.kernel.cabinet.damaged()] == [broken]
            no = await house.submit(RenameWorkspace(workspace_id=broken, name="x"))
            assert reason(no) == "unavailable/workspace_damaged"
            await house.accept(RenameWorkspace(workspace_id=whole, name="y"))
            await house.kernel.projector.wait_for(whole, house.kernel.feed.head(whole))
    assert "workspace.damaged" in [record.message for record in caplog.records]


async def test_a_snapshot_of_another_log_is_not_believed() -> None:
    """As where a log was put back from a backup and its snapshots were not."""
    disk, elsewhere = Disk(), Disk()
    async with disk.boot() as house:
        ws = await house.workspace("ours")
        await house.project(ws, "ours")
    async with elsewhere.boot() as house:
        assert await house.workspace("theirs") == ws
        await house.project(ws, "theirs")
    elsewhere.log = disk.log

    async with elsewhere.boot() as house, disk.boot() as ours:
        theirs = (await house.kernel.cabinet.load(ws)).state_hash()
        assert theirs == (await ours.kernel.cabinet.load(ws)).state_hash()


async def test_idle_workspaces_are_let_go_and_come_back_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cabinet, "KEPT_MAX", 2)
    disk = Disk()
    async with disk.boot() as house:
        made = [await house.workspace(name) for name in "abcd"]
        hashes = {ws: (await house.kernel.cabinet.load(ws)).state_hash() for ws in made}
        disk.clock.later(snapshotter.REST_S)
        await eventually_async(lambda: _is_down_to(house, 2))

        epochs = {head.workspace_id: head.epoch for head in await disk.log.heads()}
        for ws in made:
            assert (await house.kernel.cabinet.load(ws)).state_hash() == hashes[ws]
        assert {head.workspace_id: head.epoch for head in await disk.log.heads()} == epochs
        for ws in made:
            await house.accept(RenameWorkspace(workspace_id=ws, name="later"))


async def test_what_wants_hands_or_is_on_its_way_to_the_disk_is_not_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cabinet, "KEPT_MAX", 0)
    disk = Disk()
    async with disk.boot() as house:
        wanting, writing, idle = [await house.workspace(name) for name in "abc"]
        await a_session_with_a_worktree(house, wanting)
        project_id: ProjectId = await house.project(writing)
        for ws in (wanting, writing, idle):
            ledger = house.kernel.cabinet.get(ws)
            assert ledger is not None
            ledger.capture(whole=True)
        house.log.hold()
        order = RenameProject(workspace_id=writing, project_id=project_id, name="x")
        asking = asyncio.create_task(house.accept(order))
        await house.log.started.wait()
        for ws in (wanting, writing, idle):
            house.kernel.cabinet.put_to_rest(ws)
        assert loaded(house) == {wanting, writing}
        house.log.release()
        await asking


async def test_a_timer_of_a_workspace_that_was_let_go_fires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cabinet, "KEPT_MAX", 0)
    disk = Disk()
    async with disk.boot() as house:
        ws = await house.workspace()
        await a_deadline(house, ws)
        disk.clock.later(snapshotter.REST_S)
        await eventually_async(lambda: _is_down_to(house, 1))
        disk.clock.later(LATER_S)
        await turns()
        assert "task.deadline_missed" in await types_in(house, ws)


async def _is_down_to(house: House, number: int) -> bool:
    return len(house.kernel.cabinet.ledgers()) <= number
