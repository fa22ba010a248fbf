"""Lets runs start while the machine has room; who must wait stands in one queue, first come, first served.

    asks → waits in the queue, with a reason → starts (one of so many at once) → lives → has ended

Only the head of the queue is judged, so a large run is never passed by small ones for ever. What has just
begun has not taken its memory yet: it is counted as if it had. When no run of ours lives, the next one is
let in whatever the machine says: nothing that we could wait for would make room.
"""

import asyncio
import os
import resource
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from moduprompt.domain.run.view import Waits
from moduprompt.keeper import cgroups
from moduprompt.kernel.ports import Clock
from moduprompt.protocol import Micros, RunId, to_timestamp

MIB: Final = 1024 * 1024
LIVE_MAX: Final = 2_000  # some 20 MB each for keeper and smallest program: the memory of a large machine
STARTING_PER_CORE: Final = 4  # interpreters that load at once; more would only be later, all of them
LOAD_PER_CORE: Final = 4.0  # from here on a core starts one run at a time
KEPT_BYTES: Final = 256 * MIB  # stay free for the daemon, and for whoever else is on the machine
DESCRIPTORS_EACH: Final = 8  # of a run: two links, its door, a start's pipes, and who watches or types
KEPT_DESCRIPTORS: Final = 64  # stay free for the log, for git, and for whoever calls
GROWING_S: Final = 20.0  # an agent program has its memory after 2 to 16 s
PART: Final = "starts"  # what is hindered, by its name
LOOK_S: Final = 0.1  # between two looks of the head of the queue


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine has at this moment. `descriptors`: how many files the daemon may open still; None: no bound."""

    memory_bytes: int
    load: float
    cores: int
    descriptors: int | None = None


class Machine(Protocol):
    """Where runs start."""

    def room(self) -> Room:
        """What it has at this moment."""
        ...


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the queue. `why` also says what would unblock it."""

    run_id: RunId
    since: Micros
    why: str


class ThisMachine:
    """The `Machine` that the daemon runs on, or its control group where that has less."""

    def room(self) -> Room:
        """MemAvailable, the load of the last minute, and the cores that we may use."""
        left = cgroups.memory_left()
        free = _available()
        return Room(
            memory_bytes=free if left is None else min(left, free),
            load=os.getloadavg()[0],
            cores=len(os.sched_getaffinity(0)),
            descriptors=_descriptors(),
        )


class Admission:
    """The queue of one daemon. A daemon that starts anew builds it from the runs that want to start."""

    def __init__(
        self, machine: Machine, *, clock: Clock, hindered: dict[str, str], live_max: int = LIVE_MAX
    ) -> None:
        """`hindered` is where the daemon says what doesn't go on, for whoever asks whether it is ready."""
        self._hindered = hindered
        self._live_max = live_max
        self._machine = machine
        self._clock = clock
        self._queue: dict[RunId, Waiting] = {}
        self._given_up: set[RunId] = set()
        self._starting: set[RunId] = set()
        self._live: set[RunId] = set()
        self._growing: dict[RunId, tuple[Micros, int]] = {}
        self._put_off: dict[RunId, Waiting] = {}
        self._turns: dict[RunId, asyncio.Event] = {}  # of who waits: it stands first now, or was given up

    def waiting(self) -> tuple[Waiting, ...]:
        """Who waits, in order; then those whose start was put off, until they stand in the queue again."""
        in_queue = (self._told(each, ahead) for ahead, each in enumerate(self._queue.values()))
        return (*in_queue, *(each for run_id, each in self._put_off.items() if run_id not in self._queue))

    def waits(self, run_id: RunId) -> Waits | None:
        """Where it stands in the queue at this moment; None where it does not wait."""
        found = self._queue.get(run_id)
        if found is not None:
            ahead = list(self._queue).index(run_id)
            return _shown(self._told(found, ahead), place=ahead + 1)
        late = self._put_off.get(run_id)
        return _shown(late, place=len(self._queue) + 1) if late is not None else None

    def put_off(self, run_id: RunId, why: str) -> None:
        """The machine could not start it now; whoever wants it asks for its turn again."""
        since = self._put_off[run_id].since if run_id in self._put_off else self._clock.now()
        self._put_off[run_id] = Waiting(run_id=run_id, since=since, why=why)

    def lives(self, run_id: RunId) -> None:
        """It has a keeper, from now or from before; telling twice is fine."""
        self._live.add(run_id)
        self._put_off.pop(run_id, None)

    def has_ended(self, run_id: RunId) -> None:
        """It takes no room any more; telling twice is fine."""
        self._live.discard(run_id)
        self._put_off.pop(run_id, None)
        self._growing.pop(run_id, None)

    def give_up(self, run_id: RunId) -> bool:
        """Take it out of the queue, when it waits there."""
        if run_id not in self._queue:
            return False
        self._given_up.add(run_id)
        self._turns[run_id].set()
        return True

    @asynccontextmanager
    async def turn(self, run_id: RunId, *, memory_bytes: int) -> AsyncGenerator[bool]:
        """Wait for the turn and hold it while the run starts. False where it was given up meanwhile."""
        is_admitted = await self._wait(run_id, memory_bytes=memory_bytes)
        if is_admitted:
            self._starting.add(run_id)
            self._growing[run_id] = (self._clock.now(), memory_bytes)
        try:
            yield is_admitted
        finally:
            self._starting.discard(run_id)

    async def _wait(self, run_id: RunId, *, memory_bytes: int) -> bool:
        """Only the first of the queue is awake, so that a long queue costs no more than a short one."""
        self._queue[run_id] = Waiting(run_id=run_id, since=self._clock.now(), why="its turn comes")
        turn = self._turns[run_id] = asyncio.Event()
        try:
            if len(self._queue) > 1:
                await turn.wait()
            while run_id not in self._given_up:
                why = self._why_not(memory_bytes)
                if why is None:
                    return True
                self._note(run_id, why)
                await self._clock.sleep(LOOK_S)
            return False
        finally:
            del self._queue[run_id], self._turns[run_id]
            self._given_up.discard(run_id)
            self._hindered.pop(PART, None)  # the next head says why it waits, if it must
            head = next(iter(self._turns.values()), None)
            if head is not None:
                head.set()

    def _note(self, run_id: RunId, why: str) -> None:
        self._queue[run_id] = msgspec.structs.replace(self._queue[run_id], why=why)
        self._hindered[PART] = f"{len(self._queue)} runs wait; run {run_id} because {why}"

    def _told(self, waiting: Waiting, ahead: int) -> Waiting:
        """As it stands there, with why it waits: the first knows that itself, the others wait for it."""
        if not ahead:
            return waiting
        head = next(iter(self._queue))
        runs = "1 run waits" if ahead == 1 else f"{ahead} runs wait"
        return msgspec.structs.replace(waiting, why=f"{runs} before it; the first is {head}")

    def _why_not(self, memory_bytes: int) -> str | None:
        taken = self._live | self._starting
        if not taken:
            return None
        room = self._machine.room()
        is_busy = room.load > LOAD_PER_CORE * room.cores
        at_once = room.cores * (1 if is_busy else STARTING_PER_CORE)
        if len(taken) >= self._live_max:
            return f"{len(taken)} runs live, of {self._live_max} at most: one of them must end"
        if len(self._starting) >= at_once:
            busy = f" (the load is {room.load:.1f})" if is_busy else ""
            return f"{len(self._starting)} runs are starting, of {at_once} at once{busy}"
        needed_files = KEPT_DESCRIPTORS + DESCRIPTORS_EACH * (1 + len(self._starting))
        if room.descriptors is not None and room.descriptors < needed_files:
            return f"the daemon may open {room.descriptors} files more, and keeps {needed_files} for it: a run must end, or ulimit -n be raised for the daemon"
        needed = memory_bytes + KEPT_BYTES + self._promised()
        if room.memory_bytes < needed:
            return f"it needs {needed // MIB} MiB with what others still take, {room.memory_bytes // MIB} MiB are free: a run must end, or others free some"
        return None

    def _promised(self) -> int:
        """Memory that runs which have just begun are about to take."""
        oldest = self._clock.now() - int(GROWING_S * 1_000_000)
        self._growing = {run: each for run, each in self._growing.items() if each[0] >= oldest}
        return sum(size for _, size in self._growing.values())


def _shown(waiting: Waiting, *, place: int) -> Waits:
    return Waits(place=place, since=to_timestamp(waiting.since), why=waiting.why)


def _descriptors() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    return max(0, soft - len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - counted, not looked at


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo names no MemAvailable")
