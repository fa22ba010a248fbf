"""Due times fire once, whatever the clock does; a firing that is stale decides nothing."""

import pytest

from moduprompt.domain.decider import Timer
from moduprompt.domain.task.commands import CancelTask, CreateTask, FireDeadline, SetDeadline
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.kernel.timers import AGAIN_S, SLEEP_S_MAX
from moduprompt.kernel.writer import CommandBroke
from moduprompt.protocol import SECOND, Micros, TaskId, WorkspaceId, to_timestamp
from moduprompt.storage.port import StorageFailed
from tests.support.clocks import FakeClock
from tests.support.deadline import turns
from tests.support.domain import NOW
from tests.support.kernel import House, accepted, events_of, make_kernel


def in_seconds(seconds: float) -> str:
    return to_timestamp(Micros(NOW + round(seconds * SECOND)))


async def a_task(house: House, due_s: float = 30) -> tuple[WorkspaceId, TaskId]:
    ws = await house.workspace()
    project_id = await house.project(ws)
    made = await house.accept(CreateTask(workspace_id=ws, project_id=project_id, title="t"))
    task_id = TaskId(events_of(made)[0].subject.id)
    await house.accept(SetDeadline(workspace_id=ws, task_id=task_id, due_at=in_seconds(due_s)))
    return ws, task_id


async def missed(house: House, ws: WorkspaceId) -> int:
    await turns()
    return sum(event.event_type == "task.deadline_missed" for event in await house.stored(ws))


async def pass_time(clock: FakeClock, seconds: float) -> None:
    clock.later(seconds)
    await turns()


async def test_a_timer_fires_when_it_is_due_and_once() -> None:
    async with make_kernel() as house:
        ws, _ = await a_task(house)
        await pass_time(house.clock, 29.9)
        assert await missed(house, ws) == 0
        await pass_time(house.clock, 0.2)
        assert await missed(house, ws) == 1
        await pass_time(house.clock, 3_600)
        assert await missed(house, ws) == 1


async def test_a_clock_that_leaps_fires_what_it_leapt_over() -> None:
    async with make_kernel() as house:
        ws, _ = await a_task(house, 7 * 86_400)
        await pass_time(house.clock, SLEEP_S_MAX)
        assert await missed(house, ws) == 0
        await pass_time(house.clock, 30 * 86_400)
        assert await missed(house, ws) == 1


async def test_a_clock_that_is_set_back_fires_late_and_once() -> None:
    async with make_kernel() as house:
        ws, _ = await a_task(house)
        await pass_time(house.clock, -3_600)
        for _ in range(5):
            await pass_time(house.clock, SLEEP_S_MAX)
        assert await missed(house, ws) == 0
        await pass_time(house.clock, 3_600)
        assert await missed(house, ws) == 1
        await pass_time(house.clock, -3_600)
        await pass_time(house.clock, 3_700)
        assert await missed(house, ws) == 1


@pytest.mark.parametrize("jump", [-86_400, 86_400])
async def test_event_time_never_decreases_when_the_clock_is_set(jump: int) -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        for seconds in (0, jump, 1, -jump, 1):
            house.clock.later(seconds)
            await house.accept(RenameWorkspace(workspace_id=ws, name=f"at {house.clock.now()}"))

        times = [event.timestamp for event in await house.stored(ws)]
        assert times == sorted(times)


async def test_a_deadline_is_a_point_in_time_whenever_it_was_set() -> None:
    """Set before the clock went back by a day or after it: both fire when the clock shows their time."""
    async with make_kernel() as house:
        before, _ = await a_task(house, 30)
        house.clock.later(-86_400)
        after, _ = await a_task(house, 60)
        await turns()
        assert await missed(house, before) + await missed(house, after) == 0

        await pass_time(house.clock, 86_400 + 31)
        assert (await missed(house, before), await missed(house, after)) == (1, 0)
        await pass_time(house.clock, 30)
        assert await missed(house, after) == 1


async def test_a_timer_whose_reason_went_away_does_not_fire() -> None:
    async with make_kernel() as house:
        ws, task_id = await a_task(house)
        await house.accept(SetDeadline(workspace_id=ws, task_id=task_id, due_at=None))
        await pass_time(house.clock, 60)

        assert await missed(house, ws) == 0


async def test_a_timer_that_was_moved_fires_at_the_new_time_only() -> None:
    async with make_kernel() as house:
        ws, task_id = await a_task(house)
        await house.accept(SetDeadline(workspace_id=ws, task_id=task_id, due_at=in_seconds(90)))
        await pass_time(house.clock, 60)
        assert await missed(house, ws) == 0
        await house.accept(SetDeadline(workspace_id=ws, task_id=task_id, due_at=in_seconds(70)))
        await pass_time(house.clock, 15)
        assert await missed(house, ws) == 1


async def test_a_stale_firing_decides_nothing() -> None:
    async with make_kernel() as house:
        ws, task_id = await a_task(house)
        await house.accept(CancelTask(workspace_id=ws, task_id=task_id))
        before = len(await house.stored(ws))
        fire = FireDeadline(workspace_id=ws, task_id=task_id, due_at=in_seconds(30))

        answer = accepted(await house.kernel.execute(fire, key=f"{task_id}/deadline/late"))

        assert answer.events == ()
        assert len(await house.stored(ws)) == before


async def test_a_restart_finds_its_timers_again() -> None:
    async with make_kernel() as house:
        ws, _ = await a_task(house)
        log = house.log.inner
    async with make_kernel(log=log, clock=FakeClock(Micros(NOW + 60 * SECOND))) as house:
        assert await missed(house, ws) == 1
        log = house.log.inner
    async with make_kernel(log=log, clock=FakeClock(Micros(NOW + 90 * SECOND))) as house:
        assert await missed(house, ws) == 1


async def test_a_firing_that_cannot_be_written_comes_again() -> None:
    async with make_kernel() as house:
        ws, _ = await a_task(house)
        house.log.fail_next(StorageFailed("eio"))
        await pass_time(house.clock, 31)
        assert await missed(house, ws) == 0
        await pass_time(house.clock, AGAIN_S)
        assert await missed(house, ws) == 1


async def test_a_disk_that_stays_full_is_not_asked_without_a_pause() -> None:
    async with make_kernel() as house:
        ws, _ = await a_task(house)
        for _ in range(100):
            house.log.fail_next(StorageFailed("enospc"))
        await pass_time(house.clock, 31)
        for _ in range(9):
            await turns()
        assert house.log.failures_left() == 99
        for _ in range(9):
            await pass_time(house.clock, AGAIN_S)
        assert house.log.failures_left() == 90
        assert await missed(house, ws) == 0


async def test_a_firing_that_breaks_our_code_stops_no_other_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with make_kernel() as house:
        ws, _ = await a_task(house, 30)
        _, _ = other, _ = await a_task(house, 40)
        execute, broken = house.kernel.execute, [True]

        async def breaks_once(command: object, *, key: str) -> object:
            if broken.pop() if broken else False:
                raise CommandBroke("planted")
            return await execute(command, key=key)  # type: ignore[arg-type]

        monkeypatch.setattr(house.kernel, "execute", breaks_once)
        await pass_time(house.clock, 31)
        assert await missed(house, ws) == 0
        await pass_time(house.clock, 10)

        assert await missed(house, other) == 1
        assert await missed(house, ws) == 1


async def test_many_timers_fire_in_the_order_of_their_times() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        wanted: list[str] = []
        for due_s in (50, 10, 40, 20, 30):
            made = await house.accept(CreateTask(workspace_id=ws, project_id=project_id, title="t"))
            task_id = TaskId(events_of(made)[0].subject.id)
            await house.accept(SetDeadline(workspace_id=ws, task_id=task_id, due_at=in_seconds(due_s)))
            wanted.append((f"{due_s}", task_id))  # type: ignore[arg-type]
        await pass_time(house.clock, 100)
        fired = [
            event.subject.id for event in await house.stored(ws) if event.event_type == "task.deadline_missed"
        ]

        assert fired == [task_id for _, task_id in sorted(wanted)]


async def test_timers_stand_still_when_nothing_is_due() -> None:
    async with make_kernel() as house:
        await house.workspace()
        await turns()
        slept = len(house.clock.slept)
        await house.accept(RenameWorkspace(workspace_id=(await house.workspace("x")), name="y"))
        await turns()

        assert len(house.clock.slept) == slept


def test_a_timer_is_named_by_subject_purpose_and_generation() -> None:
    assert Timer.__struct_fields__ == ("name", "due_at", "command")
