"""Power cuts: clients at work, images taken in the middle of it, each booted and judged.

A life is as many generations as its images need. In each a kernel boots on what the last one left, clients
work, and the power is cut at drawn writes and syncs, without the kernel noticing: what the
disk would hold then is an image. Every image is booted by a fresh kernel and judged by
what had been answered when it was taken. One of them is where the next generation begins.
"""

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.kernel.ledger import ChainBroken
from moduprompt.protocol import Accepted, Answer, Code
from moduprompt.storage.port import StorageFailed
from tests.support.kernel_stories import Asked
from tests.support.simulation.checks import keeps
from tests.support.simulation.disk import Operation, ordered_failures
from tests.support.simulation.image import Violation, log_hash
from tests.support.simulation.living import (
    answers_again,
    at_rest,
    replay_equals_state,
    views_equal_rebuild,
)
from tests.support.simulation.machine import Machine, World
from tests.support.simulation.medium import Directory
from tests.support.simulation.often import snapshots_often
from tests.support.simulation.orders import Orders
from tests.support.simulation.remembering import snapshots_equal_replay
from tests.support.simulation.submitting import Promise
from tests.support.simulation.virtual_time import run_virtually

EVERY: Final = 8  # operations of the disk to one image, on average: some ten of each commit
CLIENTS: Final = 4
COMMANDS: Final = 5  # of one client in one generation
AGAIN: Final = 3  # answers of each image that are asked for once more
VIEWED: Final = 0.1  # of the images have their views compared: it costs as much as all the rest


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """An image: what the disk held, and how much had been promised."""

    holds: Directory
    promised: int
    at: str


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one seed."""

    images: int
    promises: int
    log_hash: str


class Camera:
    """Takes images at drawn operations of a disk, before they happen."""

    def __init__(self, machine: Machine, orders: Orders, *, rng: random.Random) -> None:
        self.cuts: list[Cut] = []
        self._machine = machine
        self._orders = orders
        self._rng = rng
        self._operations = 0

    def look(self, operation: Operation, name: str) -> None:
        """Perhaps now."""
        self._operations += 1
        if self._rng.randrange(EVERY) == 0:
            self.take(f"before {operation} {self._operations} of {name}")

    def take(self, at: str) -> None:
        """Now."""
        holds = self._machine.disk.directory.after_power_cut(self._rng)
        self.cuts.append(Cut(holds=holds, promised=len(self._orders.promises), at=at))


def live(seed: int, *, images: int) -> Life:
    """One life of at least so many images. Raises Violation."""
    with tempfile.TemporaryDirectory() as folder, ordered_failures():
        world = World(seed, folder=Path(folder))
        with snapshots_often():
            return run_virtually(lambda _: _live(world, images=images))


async def _live(world: World, *, images: int) -> Life:
    orders, holds, taken = Orders(world.seed), Directory(), 0
    while taken < images:
        cuts = await _generation(world, orders, holds=holds)
        taken += len(cuts)
        chosen = cuts[max(world.rng.randrange(len(cuts)) for _ in range(2))]  # later ones have more in them
        holds = chosen.holds.after_crash()
        promises = list(orders.promises)
        for cut in cuts:
            await judge(world, cut, promises=promises[: cut.promised])
        orders.unlearn(chosen.promised)
    last = Cut(holds=holds, promised=len(orders.promises), at="the end")
    return Life(
        images=taken,
        promises=last.promised,
        log_hash=await judge(world, last, promises=orders.promises),
    )


async def _generation(world: World, orders: Orders, *, holds: Directory) -> list[Cut]:
    machine = Machine.assemble(world, holds=holds)
    camera = Camera(machine, orders, rng=world.branch())
    machine.disk.on_change = camera.look
    await machine.start()
    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(_work(machine, orders))
    camera.take("at rest")
    await machine.bury()
    return camera.cuts


async def _work(machine: Machine, orders: Orders) -> None:
    for _ in range(COMMANDS):
        asked = orders.next_asked(machine.owner)
        orders.learn(asked, await _answered(machine, asked))
        await machine.world.clock.pass_by(orders.random.choice((0, 0, 0.01, 2)))


async def _answered(machine: Machine, asked: Asked) -> Answer:
    """Asked again while the kernel asks for it."""
    while True:
        answer = await machine.ask(asked)
        if isinstance(answer, Accepted) or answer.rejection.code is not Code.UNAVAILABLE:
            return answer
        await machine.world.clock.pass_by(0.1)


async def judge(world: World, cut: Cut, *, promises: list[Promise]) -> str:
    """Boot the image with a fresh kernel, which uses it up; everything must hold. Gives the hash of its log."""
    machine = Machine.assemble(world, holds=cut.holds)
    try:
        await machine.start()
        image = await at_rest(machine)
        keeps(image, promises)
        replay_equals_state(machine, image)
        await snapshots_equal_replay(machine, image)
        if world.rng.random() < VIEWED:
            await views_equal_rebuild(machine)
        await answers_again(machine, world.rng.sample(promises, min(AGAIN, len(promises))))
    except StorageFailed as fault:
        raise Violation("readable", f"{cut.at}: {fault}") from fault
    except ChainBroken as fault:
        raise Violation("chain", f"{cut.at}: {fault}") from fault
    finally:
        await machine.bury()
    return log_hash(image)
