"""One short history, ended at each of its moments in turn: after every turn of the loop, in every write and sync.

A turn of the loop is where awaits hand over, so a history of n turns is run n times and ends once at each. What
follows is always the same: a fresh machine boots on what the disk holds, the clients ask again for what they have
not been answered, and everything that must hold is looked at.
"""

import asyncio
import random
import tempfile
from itertools import count
from pathlib import Path
from typing import Final, Literal, TypeAlias

import apsw
import msgspec

from moduprompt.protocol import Accepted, Code
from tests.support.kernel_stories import Asked
from tests.support.simulation.checks import keeps
from tests.support.simulation.disk import Operation, ordered_failures
from tests.support.simulation.hands import SimHand
from tests.support.simulation.image import Violation
from tests.support.simulation.living import answers_again, at_rest, replay_equals_state, views_equal_rebuild
from tests.support.simulation.machine import Machine, World
from tests.support.simulation.medium import Directory
from tests.support.simulation.orders import Orders
from tests.support.simulation.virtual_time import Stuck, VirtualLoop, run_virtually

CLIENTS: Final = 3
COMMANDS: Final = 4  # of one client: projects, sessions, tasks, refusals, a repeat
TRIES: Final = 100  # of one command, a made-up fifth of a second apart

Moment: TypeAlias = Literal["turn", "operation"]
End: TypeAlias = Literal["power", "kill"]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the moment came before the history was over, and how much had been promised by then."""

    was_cut: bool
    promised: int


def end_at(number: int, *, moment: Moment, end: End, seed: int) -> Ended:
    """The history of this seed, ended at this moment. Raises Violation."""
    with tempfile.TemporaryDirectory() as folder, ordered_failures():
        world = World(seed, folder=Path(folder))
        try:
            return run_virtually(lambda loop: _History(world, loop, end=end).run(moment, number))
        except Stuck as stuck:
            raise Violation("alive", str(stuck)) from stuck


def sweep(seed: int, *, moment: Moment, end: End) -> tuple[int, int]:
    """Until the history is over before its end comes. Gives its moments, and how much it had promised."""
    for number in count():
        try:
            ended = end_at(number, moment=moment, end=end, seed=seed)
        except BaseException as fault:
            fault.add_note(f"again: sweep.end_at({number}, moment={moment!r}, end={end!r}, seed={seed})")
            raise
        if not ended.was_cut:
            return number, ended.promised
    raise AssertionError("BUG: counting does not end")


class _History:
    def __init__(self, world: World, loop: VirtualLoop, *, end: End) -> None:
        self._world = world
        self._loop = loop
        self._end: End = end
        self._orders = Orders(world.seed)
        self._doing: list[Asked | None] = [None] * CLIENTS
        self._rng = random.Random(world.seed)

    async def run(self, moment: Moment, number: int) -> Ended:
        machine = Machine.assemble(self._world, holds=Directory())
        self._arm(machine, moment, number)
        working = asyncio.create_task(self._work(machine))
        await asyncio.wait({working, machine.died}, return_when=asyncio.FIRST_COMPLETED)
        was_cut = machine.died.done()
        if not was_cut:
            working.result()
        self._loop.on_turn = lambda _: None
        left = await machine.bury()
        await asyncio.gather(working, return_exceptions=True)
        ended = Ended(was_cut=was_cut, promised=len(self._orders.promises))
        await self._judge(left)
        return ended

    def _arm(self, machine: Machine, moment: Moment, number: int) -> None:
        counted = 0

        def operate(operation: Operation, name: str) -> None:
            nonlocal counted
            counted += 1
            if counted > number:
                self._die(machine)
                raise apsw.IOError(f"the power goes at a {operation} of {name}")

        last = self._loop.turns + number
        if moment == "turn":
            self._loop.on_turn = lambda turn: self._die(machine) if turn > last else None
        else:
            machine.disk.on_change = operate

    def _die(self, machine: Machine) -> None:
        machine.die(self._rng, power=self._end == "power")

    async def _work(self, machine: Machine) -> None:
        await machine.start(
            lambda kernel: (SimHand(kernel, rng=self._world.branch(), clock=self._world.clock),)
        )
        await asyncio.gather(*(self._client(machine, number) for number in range(CLIENTS)))
        await at_rest(machine)

    async def _client(self, machine: Machine, number: int) -> None:
        for _ in range(COMMANDS):
            self._doing[number] = self._orders.next_asked(machine.owner)
            await self._finish(machine, number)

    async def _finish(self, machine: Machine, number: int) -> None:
        asked = self._doing[number]
        if asked is None:
            return
        for _ in range(TRIES):
            answer = await machine.ask(asked)
            if isinstance(answer, Accepted) or answer.rejection.code is not Code.UNAVAILABLE:
                self._doing[number] = None
                self._orders.learn(asked, answer)
                return
            await self._world.clock.pass_by(0.2)
        raise Violation("alive", f"{asked.command.wire} is never answered")

    async def _judge(self, holds: Directory) -> None:
        machine = Machine.assemble(self._world, holds=holds)
        try:
            await machine.start()
            for number in range(CLIENTS):
                await self._finish(machine, number)
            image = await at_rest(machine)
            keeps(image, self._orders.promises)
            replay_equals_state(machine, image)
            await views_equal_rebuild(machine)
            await answers_again(machine, self._orders.promises)
        finally:
            await machine.bury()
