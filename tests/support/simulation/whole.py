"""The whole kernel: clients, streams, hands, timers, bad disks and sudden ends, all from one seed.

A run is several machines, one after another on the same disk: each boots on what the last
one left, however it ended. Clients go on where they were, with the same keys. What must
hold is looked at after every answer, and all of it whenever the kernel comes to rest.
"""

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.kernel.feed import Filter
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ledger import ChainBroken
from moduprompt.kernel.ports import Hand
from moduprompt.protocol import SYSTEM_WORKSPACE, Accepted, Answer, Code, WorkspaceId, encode
from moduprompt.storage.port import StorageFailed
from tests.support.deadline import turns
from tests.support.kernel_stories import Asked
from tests.support.simulation.checks import keeps
from tests.support.simulation.disk import ordered_failures
from tests.support.simulation.fate import Fate
from tests.support.simulation.hands import SimHand
from tests.support.simulation.image import Violation, hold, log_hash
from tests.support.simulation.living import (
    answers_again,
    at_rest,
    replay_equals_state,
    views_equal_rebuild,
)
from tests.support.simulation.machine import SNAPSHOTS_DB, Machine, World
from tests.support.simulation.medium import Directory
from tests.support.simulation.often import snapshots_often
from tests.support.simulation.orders import Orders
from tests.support.simulation.remembering import snapshots_equal_replay, timers_have_fired
from tests.support.simulation.virtual_time import Stuck, VirtualLoop, run_virtually

MACHINES: Final = 6
CLIENTS: Final = 5
COMMANDS: Final = 12  # of one client on one machine
TWICE: Final = 0.1  # of the commands
SPOILT: Final = 0.2  # of the machines find their file of snapshots lost or damaged
LOOK_EVERY: Final = 8  # answers between two looks at everything
PATIENCE_S: Final = 300.0  # of made-up time: longer than any storm, backoff or retry
STREAM_S: Final = 5.0  # within which a stream shows what is durable; a position comes every 15


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one seed."""

    ends: tuple[str, ...]
    promises: int
    events: int
    log_hash: str


def simulate(seed: int) -> Run:
    """One run. Raises Violation."""
    with tempfile.TemporaryDirectory() as folder, ordered_failures():
        world = World(seed, folder=Path(folder))
        try:
            with snapshots_often():
                return run_virtually(lambda loop: Simulation(world, loop=loop).run())
        except Stuck as stuck:
            raise Violation("alive", str(stuck)) from stuck


class Simulation:
    """One run; what clients know outlives the machines."""

    def __init__(self, world: World, *, loop: VirtualLoop) -> None:
        self._world = world
        self._loop = loop
        self._orders = Orders(world.seed)
        self._doing: list[Asked | None] = [None] * CLIENTS
        self._streamed: dict[WorkspaceId, list[bytes]] = {}
        self._epochs: dict[WorkspaceId, tuple[int, Machine]] = {}
        self._answers = 0

    async def run(self) -> Run:
        """All machines; then a last one in peace."""
        holds, ends = Directory(), list[str]()
        for number in range(MACHINES):
            if self._world.rng.random() < SPOILT:
                spoil_snapshots(holds, self._world.branch())
            holds, end = await self._one_machine(holds, storms=number % 2 == 1)
            ends.append(end)
        machine = Machine.assemble(self._world, holds=holds)
        try:
            await machine.start()
        except (StorageFailed, ChainBroken) as fault:
            _judge_end(fault, may_fail=False)
        await self._look_at_everything(machine)
        image = await at_rest(machine)
        await machine.bury()
        events = sum(workspace.seq for workspace in image.workspaces.values())
        return Run(
            ends=tuple(ends), promises=len(self._orders.promises), events=events, log_hash=log_hash(image)
        )

    async def _one_machine(self, holds: Directory, *, storms: bool) -> tuple[Directory, str]:
        machine = Machine.assemble(self._world, holds=holds)
        fate = Fate(machine, loop=self._loop, rng=self._world.branch(), storms=storms)
        fate.begin()
        working = asyncio.create_task(self._work(machine, fate))
        await asyncio.wait({working, machine.died}, return_when=asyncio.FIRST_COMPLETED)
        ended = not machine.died.done()
        if ended and working.exception() is None and not fate.is_deadly():
            return await machine.shut_down(), fate.end
        left = await machine.bury()
        fault = None if working.cancelled() else working.exception()
        if ended:
            _judge_end(fault, may_fail=storms)
        return left, fate.end if machine.died.done() else "outlived"

    async def _work(self, machine: Machine, fate: Fate) -> None:
        await machine.start(self._hands)
        self._owns(machine)
        following: set[WorkspaceId] = set()
        self._follow(machine, following)
        await asyncio.gather(*(self._client(machine, number, following) for number in range(CLIENTS)))
        fate.calm()
        await self._look_at_everything(machine)
        await self._streams_reach_the_head(machine)

    def _owns(self, machine: Machine) -> None:
        """A workspace is in an epoch of this machine, and stays in one of it."""
        for ledger in machine.kernel.cabinet.ledgers():
            epoch, owner = self._epochs.get(ledger.workspace_id, (0, None))
            is_ours = ledger.epoch >= epoch if owner is machine else ledger.epoch > epoch
            hold("epoch", is_ours, f"{ledger.workspace_id}: two machines in epoch {epoch}")
            self._epochs[ledger.workspace_id] = (ledger.epoch, machine)

    def _hands(self, kernel: Kernel) -> tuple[Hand, ...]:
        return (SimHand(kernel, rng=self._world.branch(), clock=self._world.clock),)

    async def _client(self, machine: Machine, number: int, following: set[WorkspaceId]) -> None:
        for _ in range(COMMANDS):
            asked = self._doing[number] or self._orders.next_asked(machine.owner)
            self._doing[number] = asked
            answers = await self._said(machine, asked)
            self._doing[number] = None
            for answer in answers:
                await self._heard(machine, asked, answer)
            self._follow(machine, following)
            await self._world.clock.pass_by(self._orders.random.choice((0, 0, 0.01, 1, 4)))
            if self._orders.random.random() < 0.02:
                self._world.clock.set_back(20)

    async def _said(self, machine: Machine, asked: Asked) -> list[Answer]:
        """Mostly asked once; at times twice at once, or given up in the middle and asked again."""
        roll = self._orders.random.random()
        if roll > TWICE:
            return [await self._answered(machine, asked)]
        first = asyncio.create_task(self._answered(machine, asked))
        await turns(self._orders.random.randrange(20))
        if roll < TWICE / 2:
            first.cancel()
            return [await self._answered(machine, asked)]
        answers = await asyncio.gather(first, self._answered(machine, asked))
        accepted = {encode(answer) for answer in answers if isinstance(answer, Accepted)}
        hold("idempotent", len(accepted) <= 1, f"key {asked.key} was asked for twice at once")
        return list(answers)

    async def _answered(self, machine: Machine, asked: Asked) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    answer = await machine.ask(asked)
                    if isinstance(answer, Accepted) or answer.rejection.code is not Code.UNAVAILABLE:
                        return answer
                    await self._world.clock.pass_by(0.2)
        except TimeoutError:
            raise Violation("alive", f"{asked.command.wire} is never answered") from None

    async def _heard(self, machine: Machine, asked: Asked, answer: Answer) -> None:
        self._orders.learn(asked, answer)
        self._answers += 1
        if isinstance(answer, Accepted):
            await _stands(machine, answer)
        if self._answers % LOOK_EVERY == 0:
            image = await at_rest(machine)
            replay_equals_state(machine, image)
            keeps(image, self._orders.promises)

    async def _look_at_everything(self, machine: Machine) -> None:
        image = await at_rest(machine)
        self._owns(machine)
        replay_equals_state(machine, image)
        keeps(image, self._orders.promises)
        # Nothing is awaited since the image was read: what is written after it is shown and not in it.
        for workspace_id, streamed in self._streamed.items():
            stored = image.workspaces[workspace_id].stored[: len(streamed)]
            hold("stream", list(stored) == streamed, f"{workspace_id}: what was shown is not what is stored")
        await snapshots_equal_replay(machine, image)
        await views_equal_rebuild(machine)
        await timers_have_fired(machine, await at_rest(machine))
        count = min(len(self._orders.promises), LOOK_EVERY)
        await answers_again(machine, self._world.rng.sample(self._orders.promises, count))

    def _follow(self, machine: Machine, following: set[WorkspaceId]) -> None:
        for known in (SYSTEM_WORKSPACE, *map(WorkspaceId, self._orders.known["workspace"])):
            if known not in following:
                following.add(known)
                asyncio.create_task(self._stream(machine, known))  # noqa: RUF006 - the machine's end ends it

    async def _stream(self, machine: Machine, workspace_id: WorkspaceId) -> None:
        shown = self._streamed.setdefault(workspace_id, [])
        feed = machine.kernel.feed
        async for found in feed.follow(workspace_id, after=len(shown), only=Filter(), sees=lambda _: True):
            for event in found.events:
                # A gap is found when what was shown is compared with what is stored.
                shown.append(event.data)
                self._orders.hear(event.data)

    async def _streams_reach_the_head(self, machine: Machine) -> None:
        end = self._loop.time() + STREAM_S
        while behind := [
            ws for ws, shown in self._streamed.items() if len(shown) < machine.kernel.feed.head(ws)
        ]:
            hold("stream", self._loop.time() < end, f"{behind[0]}: what is durable is not shown")
            await self._world.clock.pass_by(0.1)


def spoil_snapshots(holds: Directory, rng: random.Random) -> None:
    """Somebody deletes the file of snapshots, with what belongs to it or without, or the medium forgets some of it."""
    names = [name for name in sorted(holds.shown) if name.startswith(SNAPSHOTS_DB)]
    for name in names if rng.random() < 0.3 else []:
        holds.remove(name)
    if SNAPSHOTS_DB in holds.shown and rng.random() < 0.3:
        holds.remove(SNAPSHOTS_DB)
    for name in names:
        file = holds.shown.get(name)
        if file is not None and file.content:
            file.write(rng.randrange(len(file.content)), rng.randbytes(rng.choice((1, 16, 4_096))))
    holds.sync()


async def _stands(machine: Machine, answer: Accepted) -> None:
    """What was answered is in the log at that moment."""
    for event in answer.events:
        envelope = msgspec.json.decode(event)
        at = envelope["seq_global"]
        try:
            found = await machine.log.read(envelope["workspace_id"], after=at - 1, limit=1)
        except StorageFailed:
            continue  # a disk that can't be read says nothing against what was written
        held = [stored.data for stored in found]
        hold("acknowledged", held == [bytes(event)], f"event {at} was answered and is not there")


def _judge_end(fault: BaseException | None, *, may_fail: bool) -> None:
    """A machine that could not start on a bad disk has done nothing wrong; on a good one it has."""
    if fault is None or (may_fail and isinstance(fault, StorageFailed)):
        return
    if isinstance(fault, StorageFailed):
        raise Violation("readable", str(fault)) from fault
    if isinstance(fault, ChainBroken):
        raise Violation("chain", str(fault)) from fault
    raise fault
