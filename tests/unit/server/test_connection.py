"""Who is let in, and who is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from moduprompt.kernel.meters import Meters
from moduprompt.server import connection
from moduprompt.server.connection import REFUSED_MAX, StallWatch, Turnstile
from tests.support.deadline import eventually_async


class Buffered(asyncio.Transport):
    """A transport of which a test says what is left to send."""

    def __init__(self, left: Callable[[], int]) -> None:
        super().__init__()
        self.looks = 0
        self.is_cut = False
        self._left = left

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        return self._left()

    def abort(self) -> None:
        self.is_cut = True


def test_what_leaves_makes_room() -> None:
    doors = Turnstile(Meters(), name="connections", most=2)

    assert [doors.enter(), doors.enter()] == [None, None]
    assert doors.enter() is not None
    doors.leave()
    doors.leave()
    assert doors.enter() is None


def test_a_runs_door_counts_for_the_whole_and_the_whole_bounds_it() -> None:
    whole = Turnstile(Meters(), name="connections", most=1)
    own = Turnstile(whole.meters, whole=whole, name="connections_of_run", most=5)

    assert own.enter() is None
    refused = own.enter()
    assert refused is not None
    assert (refused.details or {})["limit"] == "connections"
    assert whole.inside == own.inside == 2


def test_beyond_those_who_are_told_nobody_is() -> None:
    doors = Turnstile(Meters(), name="connections", most=1)
    for _ in range(1 + REFUSED_MAX):
        doors.enter()
    assert not doors.is_crowded()
    doors.enter()
    assert doors.is_crowded()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALL_S", 0.001)


async def test_a_reader_that_takes_nothing_is_cut_off_and_counted() -> None:
    transport, meters = Buffered(lambda: 100), Meters()
    StallWatch(transport, meters=meters).wait()
    await eventually_async(lambda: is_cut(transport))

    assert meters.refused == {"reader_stall": 1}


async def is_cut(transport: Buffered) -> bool:
    return transport.is_cut


async def has_looked(transport: Buffered) -> bool:
    return transport.looks > 5


async def test_a_reader_that_takes_a_byte_now_and_then_is_not() -> None:
    left = iter(range(10_000, 0, -1))
    transport = Buffered(lambda: next(left))
    watch = StallWatch(transport, meters=Meters())
    watch.wait()
    await eventually_async(lambda: has_looked(transport))
    watch.end()

    assert not transport.is_cut


async def test_a_reader_that_reads_again_is_not() -> None:
    transport = Buffered(lambda: 100)
    watch = StallWatch(transport, meters=Meters())
    watch.wait()
    watch.go_on()
    rung = asyncio.Event()
    asyncio.get_running_loop().call_later(2 * connection.STALL_S, rung.set)  # after the watch's own timer
    await rung.wait()

    assert not transport.is_cut
