"""One computer of a simulation: its disk, its processes, its ends.

    machine = await Machine.boot(world, holds=Directory())
    ...
    machine.die()                  # between two steps: power cut or kill
    await machine.bury()           # everything of it is gone; `machine.left` is what the disk holds

The clock, the mint and the artifacts belong to the world: they outlive a machine.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from moduprompt.domain.deciders import VIEWS
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ports import Hand
from moduprompt.protocol import Actor, Answer
from moduprompt.storage.port import SnapshotStore
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.snapshots import COMPANIONS, open_snapshots
from moduprompt.storage.sqlite.views import SqliteViews
from tests.support.clocks import CountingMint
from tests.support.kernel import FixedObserver, MemoryArtifacts
from tests.support.kernel_stories import Asked
from tests.support.simulation.disk import Operation, SimDisk
from tests.support.simulation.medium import Directory
from tests.support.simulation.submitting import to_envelope
from tests.support.simulation.virtual_time import VirtualClock
from tests.support.simulation.workers import WorkersOf

LOG_DB: Final = "log.sqlite"
VIEWS_DB: Final = "views.sqlite"
SNAPSHOTS_DB: Final = "snapshots.sqlite"
IN_VAIN_MAX: Final = 3  # look-ups before keys are learned: a machine does not live long
Hands = Callable[[Kernel], tuple[Hand, ...]]


class World:
    """What no power cut takes: time, ids, texts, and the seed all else is drawn from."""

    def __init__(self, seed: int, *, folder: Path) -> None:
        self.seed = seed
        self.folder = folder
        self.rng = random.Random(seed)
        self.clock = VirtualClock()
        self.mint = CountingMint()
        self.artifacts = MemoryArtifacts()

    def branch(self) -> random.Random:
        """Randomness of its own for one part, so that parts don't disturb each other."""
        return random.Random(self.rng.getrandbits(64))


class Machine:
    """A kernel on a disk. Made by `boot`."""

    def __init__(self, world: World, *, disk: SimDisk, workers: WorkersOf) -> None:
        self.world = world
        self.disk = disk
        self.left: Directory | None = None
        self.died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._workers = workers
        self._before = asyncio.all_tasks()
        self._log: SqliteLog | None = None
        self._views: SqliteViews | None = None
        self._snapshots: SnapshotStore | None = None
        self._kernel: Kernel | None = None

    @classmethod
    async def boot(cls, world: World, *, holds: Directory, hands: Hands = lambda _: ()) -> "Machine":
        """A kernel that has started on what the disk holds."""
        machine = cls.assemble(world, holds=holds)
        await machine.start(hands)
        return machine

    @classmethod
    def assemble(cls, world: World, *, holds: Directory) -> "Machine":
        """Everything but the power switch."""
        return cls(world, disk=SimDisk(world.folder, holds=holds), workers=WorkersOf(world.branch()))

    async def start(self, hands: Hands = lambda _: ()) -> None:
        """Open the stores, fold, begin. Raises what they raise."""
        disk, world = self.disk, self.world
        self._log = await SqliteLog.open(
            disk.path(LOG_DB), vfs=disk.name, workers=self._workers, in_vain_max=IN_VAIN_MAX
        )
        self._views = await SqliteViews.open(
            disk.path(VIEWS_DB), views=VIEWS, vfs=disk.name, workers=self._workers, set_aside=self._remove
        )
        self._snapshots = await open_snapshots(
            disk.path(SNAPSHOTS_DB), vfs=disk.name, workers=self._workers, remove=self._remove
        )
        self._kernel = Kernel(
            self._log,
            self._views,
            views=VIEWS,
            snapshots=self._snapshots,
            clock=world.clock,
            mint=world.mint,
            artifacts=world.artifacts,
            observer=FixedObserver(),
        )
        await self._kernel.start(owner_name="owner", hands=hands(self._kernel))
        projector = (
            self._kernel.projector
        )  # every machine rebuilds while it works, and some die of something else in it
        projector.rebuilds.ask_for(projector.tracks.all)

    @property
    def kernel(self) -> Kernel:
        """Of a machine that was started."""
        assert self._kernel is not None, "BUG: the machine was not started"
        return self._kernel

    @property
    def log(self) -> SqliteLog:
        """Of a machine that was started."""
        assert self._log is not None, "BUG: the machine was not started"
        return self._log

    @property
    def snapshots(self) -> SnapshotStore:
        """Of a machine that was started."""
        assert self._snapshots is not None, "BUG: the machine was not started"
        return self._snapshots

    @property
    def owner(self) -> Actor:
        """The local owner."""
        return Actor(kind="user", id=self.kernel.owner_id)

    async def ask(self, asked: Asked) -> Answer:
        """As a client would, once."""
        kernel = self.kernel
        envelope = to_envelope(asked)
        return await kernel.submit(
            envelope, actor=asked.actor, command_id=kernel.new_command_id(), trace_id="trace"
        )

    def die(self, rng: random.Random, *, power: bool) -> None:
        """Now: in the middle of a write or between two turns. What the disk holds is `left`."""
        if self.left is not None:
            return
        directory = self.disk.directory
        self.left = directory.after_power_cut(rng) if power else directory.after_crash()
        self.disk.on_change = _gone
        self._workers.halt()
        asyncio.get_running_loop().call_soon(self._tell)

    async def bury(self) -> Directory:
        """End everything that ran on it. Gives what the disk holds."""
        if self.left is None:
            self.die(random.Random(0), power=False)
        mine = asyncio.all_tasks() - self._before - {asyncio.current_task()}
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        for store in (self._snapshots, self._views, self._log):
            if store is not None:
                await store.close()
        self.disk.unregister()
        assert self.left is not None, "BUG: it has died"
        return self.left

    async def shut_down(self) -> Directory:
        """In order: drain, close, and the disk as a clean end leaves it."""
        await self.kernel.stop()
        for store in (self._snapshots, self._views, self._log):
            if store is not None:
                await store.close()
        self.left = self.disk.directory.after_crash()
        self.disk.unregister()
        return self.left

    def _remove(self, path: Path) -> None:
        for ending in COMPANIONS:
            if path.name + ending in self.disk.directory.shown:
                self.disk.xDelete(str(path) + ending, syncdir=False)

    def _tell(self) -> None:
        with suppress(asyncio.InvalidStateError):
            self.died.set_result(None)


def _gone(_operation: Operation, name: str) -> None:
    raise apsw.IOError(f"the machine of {name} has no power")
