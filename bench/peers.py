"""The same work, sixty-four concurrent writers, on two libraries of the field that keep what they accept.

The work is one small command: something is renamed, with a name of a hundred characters, and the caller goes on
when that is on the disk. Each peer runs in a process of its own, in turns with us, in the way its documentation
shows, on SQLite with `synchronous=FULL` (asked of its own connections). Several settings of a peer are measured
and the best one counts.
"""

import asyncio
import sys
from collections.abc import Sequence
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from bench.figures import Figure, Scale, Watch
from bench.peer_work import NAME_CHARS, Done, Work
from bench.rig import FOLDER, Rig, rig
from bench.sampling import profiled

WRITERS: Final = 64
EACH: Final = 40  # commands of one writer in one round of ours
ROUNDS: Final = 3
PATIENCE_S: Final = 300.0  # for one round of a peer
FULL: Final = ("2", "3")  # what PRAGMA synchronous says of FULL and EXTRA


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One way of running a peer."""

    name: str
    writers: int
    journal: str = ""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A library, and the ways in which it may show its best."""

    name: str
    module: str
    goal: str
    compared: str
    settings: tuple[Setting, ...]
    commands: int  # of one round: some seconds of work


class Ended(Exception):
    """A peer could not do it."""


PEERS: Final = (
    Peer(
        name="eventsourcing",
        module="bench.peer_eventsourcing",
        goal="ratio >= 4",
        compared="an application's method that gets an aggregate from the cached repository, renames it and saves it"
        " with its notification; an aggregate for each writer",
        settings=(Setting(name="64 threads", writers=64), Setting(name="one thread", writers=1)),
        commands=2_560,
    ),
    Peer(
        name="dbos",
        module="bench.peer_dbos",
        goal="ratio >= 25",
        compared="a durable workflow with one step for each command, called from as many threads",
        settings=(
            Setting(name="64 threads", writers=64),
            Setting(name="64 threads, WAL", writers=64, journal="WAL"),
            Setting(name="8 threads, WAL", writers=8, journal="WAL"),
            Setting(name="one thread, WAL", writers=1, journal="WAL"),
        ),
        commands=256,
    ),
)


async def peers(scale: Scale) -> list[Figure]:
    """Us against each of them; one that fails is said and does not end the run."""
    async with rig() as (kernel, _):
        return [await _against(peer, kernel, scale) for peer in PEERS]


async def _against(peer: Peer, kernel: Rig, scale: Scale) -> Figure:
    ours: list[float] = []
    theirs: dict[str, list[float]] = {}
    said: dict[str, str] = {}
    for turn in range(scale.of(ROUNDS, quick=1)):
        ours.append(await _we(kernel, scale.of(EACH, quick=2), turn=turn))
        for setting in peer.settings[: scale.of(len(peer.settings), quick=1)]:
            try:
                done = await _they(peer, setting, commands=scale.of(peer.commands, quick=setting.writers))
            except Ended as ended:
                said[setting.name] = f"failed: {ended}"
                continue
            assert done.settings["synchronous"] in FULL, f"{peer.name} does not sync: {done.settings}"
            theirs.setdefault(setting.name, []).append(done.per_s)
            said[setting.name] = f"{median(theirs[setting.name]):,.0f}/s with {_told(done.settings)}"
    profile = await profiled(lambda: _we(kernel, scale.of(EACH, quick=2), turn=-1))
    best = max((median(rates) for rates in theirs.values()), default=None)
    return Figure(
        name=f"{WRITERS} concurrent writers, in process, against {peer.name}",
        unit="commands/s",
        value=median(ours),
        yardstick_name=f"{peer.name}, the best of its settings",
        yardstick=best,
        goal=peer.goal if best is not None else "",
        profile=profile,
        note=f"{peer.compared}. " + "; ".join(f"{name}: {what}" for name, what in said.items()),
    )


async def _we(kernel: Rig, each: int, *, turn: int) -> float:
    """As many clients at once, all on one project: the same rows as every other figure in process."""
    names = [
        [f"{turn}-{writer}-{n}".ljust(NAME_CHARS, "x") for n in range(each)] for writer in range(WRITERS)
    ]

    async def client(mine: Sequence[bytes]) -> None:
        for body in mine:
            await kernel.submit(body)

    bodies = [[kernel.rename(name) for name in mine] for mine in names]
    with Watch() as watch:
        await asyncio.gather(*(client(mine) for mine in bodies))
    return WRITERS * each / watch.wall_s


async def _they(peer: Peer, setting: Setting, *, commands: int) -> Done:
    with TemporaryDirectory(dir=FOLDER) as folder:
        work = Work(
            folder=folder,
            writers=setting.writers,
            each=max(1, commands // setting.writers),
            journal=setting.journal,
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", peer.module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                out, err = await process.communicate(msgspec.json.encode(work))
        except TimeoutError as late:
            process.kill()
            await process.wait()
            raise Ended(f"not within {PATIENCE_S:.0f} s") from late
    if process.returncode:
        raise Ended(
            err.decode("utf-8", "replace").strip().rpartition("\n")[2] or f"exit {process.returncode}"
        )
    return msgspec.json.decode(out, type=Done)


def _told(settings: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(settings.items()))
