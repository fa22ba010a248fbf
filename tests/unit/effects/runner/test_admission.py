"""Who may start, who waits, and why, on a machine that has what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from moduprompt.effects.runner.admission import (
    DESCRIPTORS_EACH,
    KEPT_BYTES,
    KEPT_DESCRIPTORS,
    LIVE_MAX,
    MIB,
    STARTING_PER_CORE,
    Admission,
    ThisMachine,
)
from moduprompt.protocol import RunId
from tests.support.deadline import eventually_async
from tests.support.fake_machine import FakeMachine
from tests.support.fake_runner import QuickClock

SMALL = 10 * MIB


def run(number: int) -> RunId:
    return RunId(f"run-{number}")


class Starts:
    """Runs that start one by one and stay in their start until they are let go."""

    def __init__(self) -> None:
        self.machine = FakeMachine()
        self.hindered: dict[str, str] = {}
        self.admission = Admission(self.machine, clock=QuickClock(), hindered=self.hindered)
        self.admission.lives(RunId("of before"))
        self.begun: list[RunId] = []
        self.go_on = asyncio.Event()

    async def start(self, number: int, *, memory_bytes: int = SMALL) -> bool:
        async with self.admission.turn(run(number), memory_bytes=memory_bytes) as is_admitted:
            if is_admitted:
                self.begun.append(run(number))
                await self.go_on.wait()
        return is_admitted

    def why(self) -> str:
        """Why the head of the queue waits."""
        return next((each.why for each in self.admission.waiting()), "")

    def queue(self) -> list[RunId]:
        return [each.run_id for each in self.admission.waiting()]


def holds(what: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return what()

    return look


async def test_so_many_start_at_once_and_the_others_follow_in_their_order() -> None:
    starts = Starts()
    at_once = STARTING_PER_CORE * starts.machine.cores
    tasks = [asyncio.create_task(starts.start(number)) for number in range(at_once + 3)]

    await eventually_async(holds(lambda: "are starting" in starts.why() and len(starts.queue()) == 3))
    assert starts.begun == [run(number) for number in range(at_once)]
    assert starts.queue() == [run(at_once), run(at_once + 1), run(at_once + 2)]
    assert starts.admission.waiting()[2].why == f"2 runs wait before it; the first is {run(at_once)}"
    third = starts.admission.waits(run(at_once + 2))
    assert third is not None
    assert (third.place, third.why) == (3, starts.admission.waiting()[2].why)
    assert starts.admission.waits(run(0)) is None
    assert starts.hindered["starts"].startswith(f"3 runs wait; run {run(at_once)} because ")

    starts.go_on.set()
    assert all(await asyncio.gather(*tasks))
    assert starts.begun == [run(number) for number in range(at_once + 3)]
    assert starts.queue() == []
    assert starts.hindered == {}


async def test_a_busy_machine_starts_one_run_for_each_core() -> None:
    starts = Starts()
    starts.machine.load = 100.0
    tasks = [asyncio.create_task(starts.start(number)) for number in range(3)]

    await eventually_async(holds(lambda: len(starts.begun) == 2))
    await eventually_async(holds(lambda: "the load is 100.0" in starts.why()))
    starts.go_on.set()
    assert all(await asyncio.gather(*tasks))


async def test_a_large_run_waits_for_memory_and_no_small_one_passes_it() -> None:
    starts = Starts()
    starts.go_on.set()
    starts.machine.memory_bytes = KEPT_BYTES + 100 * MIB
    large = asyncio.create_task(starts.start(1, memory_bytes=600 * MIB))
    small = asyncio.create_task(starts.start(2))

    await eventually_async(holds(lambda: len(starts.queue()) == 2))
    await eventually_async(holds(lambda: "MiB are free" in starts.why()))
    assert starts.begun == []

    starts.machine.memory_bytes = KEPT_BYTES + 700 * MIB
    assert await large
    assert await small
    assert starts.begun == [run(1), run(2)]


async def test_what_has_just_begun_is_counted_before_it_takes_its_memory() -> None:
    starts = Starts()
    starts.go_on.set()
    starts.machine.memory_bytes = KEPT_BYTES + 1_000 * MIB
    assert await starts.start(1, memory_bytes=600 * MIB)

    second = asyncio.create_task(starts.start(2, memory_bytes=600 * MIB))
    await eventually_async(holds(lambda: starts.queue() == [run(2)]))
    starts.admission.has_ended(run(1))
    assert await second


async def test_where_nothing_of_ours_lives_waiting_would_help_nobody() -> None:
    starts = Starts()
    starts.go_on.set()
    starts.admission.has_ended(RunId("of before"))
    starts.machine.memory_bytes = 0

    assert await starts.start(1)


async def test_a_daemon_that_could_open_no_more_files_lets_the_next_one_wait() -> None:
    starts = Starts()
    starts.machine.descriptors = KEPT_DESCRIPTORS + 2 * DESCRIPTORS_EACH - 1
    tasks = [asyncio.create_task(starts.start(number)) for number in range(2)]

    await eventually_async(holds(lambda: "ulimit -n" in starts.why()))
    assert starts.begun == [run(0)], "which has not opened its own yet"
    starts.machine.descriptors += 1
    await eventually_async(holds(lambda: starts.begun == [run(0), run(1)]))
    starts.go_on.set()
    assert all(await asyncio.gather(*tasks))


async def test_so_many_live_and_the_next_waits_until_one_ends() -> None:
    starts = Starts()
    starts.go_on.set()
    for number in range(LIVE_MAX):
        starts.admission.lives(run(number))
    one_more = asyncio.create_task(starts.start(LIVE_MAX))

    await eventually_async(holds(lambda: starts.queue() == [run(LIVE_MAX)]))
    starts.admission.has_ended(RunId("of before"))
    starts.admission.has_ended(run(0))
    assert await one_more


async def test_one_whose_start_was_put_off_says_why_until_it_has_its_turn_or_its_end() -> None:
    admission = Starts().admission
    admission.put_off(run(1), "no space left on device")
    admission.put_off(run(2), "no more processes")

    told = admission.waits(run(2))
    assert told is not None
    assert told.why == "no more processes"
    assert [each.run_id for each in admission.waiting()] == [run(1), run(2)]
    async with admission.turn(run(1), memory_bytes=SMALL):
        admission.lives(run(1))
    admission.has_ended(run(2))
    assert (admission.waiting(), admission.waits(run(1)), admission.waits(run(2))) == ((), None, None)


async def test_one_that_is_given_up_leaves_the_queue_wherever_it_stands() -> None:
    starts = Starts()
    starts.go_on.set()
    starts.machine.memory_bytes = 0
    tasks = [asyncio.create_task(starts.start(number)) for number in range(3)]
    await eventually_async(holds(lambda: len(starts.queue()) == 3))

    assert starts.admission.give_up(run(1))
    assert await tasks[1] is False
    assert starts.admission.give_up(run(0))
    assert await tasks[0] is False
    assert not starts.admission.give_up(run(1)), "it waits no more"

    starts.machine.memory_bytes = 1 << 40
    assert await tasks[2]


async def test_whoever_goes_away_while_it_waits_holds_up_nobody() -> None:
    starts = Starts()
    starts.go_on.set()
    starts.machine.memory_bytes = 0
    first, second = (asyncio.create_task(starts.start(number)) for number in range(2))
    await eventually_async(holds(lambda: len(starts.queue()) == 2))

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    starts.machine.memory_bytes = 1 << 40
    assert await second


def test_this_machine_has_some_room() -> None:
    room = ThisMachine().room()

    assert room.memory_bytes > 0
    assert room.cores > 0
    assert room.descriptors is None or room.descriptors > 0
