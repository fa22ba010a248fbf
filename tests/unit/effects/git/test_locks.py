"""Whoever needs the same thing waits; nobody waits in a circle."""

import asyncio

from moduprompt.effects.git.locks import Locks
from tests.support.deadline import HANG_S


async def turn() -> None:
    """Let the others run."""
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_holders_of_one_name_follow_each_other() -> None:
    locks, order = Locks(), list[str]()
    inside, go = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with locks.hold("a", "b"):
            inside.set()
            await go.wait()
            order.append("first")

    async def second() -> None:
        await inside.wait()
        go.set()
        async with locks.hold("b"):
            order.append("second")

    async with asyncio.TaskGroup() as group:
        group.create_task(second())
        group.create_task(first())
    assert order == ["first", "second"]


async def test_holders_of_different_names_do_not_meet() -> None:
    locks = Locks()
    async with locks.hold("a"), asyncio.timeout(HANG_S), locks.hold("b"):
        pass


async def test_names_in_any_order_never_deadlock() -> None:
    locks = Locks()

    async def hold(*names: str) -> None:
        for _ in range(50):
            async with locks.hold(*names):
                await turn()

    async with asyncio.timeout(HANG_S), asyncio.TaskGroup() as group:
        group.create_task(hold("a", "b", "c"))
        group.create_task(hold("c", "b", "a"))
        group.create_task(hold("b", "a", "a"))
