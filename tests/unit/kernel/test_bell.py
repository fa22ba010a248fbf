"""Waiting for news with an end to the patience, and one timer for many waits."""

import asyncio

import pytest

from moduprompt.kernel.bell import Bell
from tests.support.deadline import HANG_S, turns

FAR = 1_000.0  # seconds: no test waits so long


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_ring_wakes_who_waits() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(until=now() + FAR))
    await turns(2)
    bell.ring()

    assert await waiting is True
    bell.close()


async def test_the_time_wakes_who_waits() -> None:
    assert await Bell().wait(until=now()) is False


async def test_a_timer_of_an_earlier_wait_wakes_nobody_before_the_time() -> None:
    bell = Bell()
    soon = now() + 0.01
    waiting = asyncio.create_task(bell.wait(until=soon))
    await turns(2)
    bell.ring()
    await waiting
    later = soon + 0.05

    assert await bell.wait(until=later) is False
    assert now() >= later


async def test_an_earlier_time_than_the_timer_s_is_kept() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(until=now() + FAR))
    await turns(2)
    bell.ring()
    await waiting

    assert await asyncio.wait_for(bell.wait(until=now() + 0.01), HANG_S) is False


async def test_a_ring_that_nobody_waits_for_is_gone_and_two_are_one() -> None:
    bell = Bell()
    bell.ring()
    waiting = asyncio.create_task(bell.wait(until=now() + FAR))
    await turns(3)
    assert not waiting.done()
    bell.ring()
    bell.ring()

    assert await waiting is True
    bell.close()
    bell.close()


async def test_who_is_cancelled_while_it_rings_has_gone() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(until=now() + FAR))
    await turns(2)
    bell.ring()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    bell.close()
