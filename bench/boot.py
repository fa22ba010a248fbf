"""A start: a long log with and without snapshots, and what a hundred thousand open tasks weigh.

Measured in this process up to the point where commands are taken; then, beside it, until the long
workspace itself is in memory. Its views are not folded meanwhile: that is the projector's figure.
"""

import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.figures import Figure, Scale, Watch
from bench.history import History
from bench.rig import FOLDER, Blind, Scrap
from bench.sampling import profiled
from moduprompt.kernel.clock import SystemClock, SystemMint
from moduprompt.kernel.kernel import Kernel
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.snapshots import open_snapshots, remove_files
from moduprompt.storage.sqlite.views import SqliteViews

TASKS: Final = 100_000
MOVES: Final = 9  # of each task, so that it leaves ten events
SNAPSHOTS: Final = "snapshots.sqlite"


async def boot(scale: Scale) -> list[Figure]:
    """Starts of one log, one after another."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        history = await _fill(folder, tasks=scale.of(TASKS, quick=500))
        without_s, _ = await _start(folder, history)
        with_s, loaded_s = await _start(folder, history)
        profile = await profiled(lambda: _start(folder, history))
    events = f"{history.seq:,} events in one workspace, {scale.of(TASKS, quick=500):,} tasks"
    return [
        Figure(name="start without a snapshot", unit="s", value=without_s, goal="< 15 s", note=events),
        Figure(name="start with a snapshot", unit="s", value=with_s, goal="< 1 s", note=events),
        Figure(
            name="start with a snapshot, until its workspace is in memory",
            unit="s",
            value=loaded_s,
            goal="< 1 s",
            note="what the first command in it waits for",
            profile=profile,
        ),
    ]


async def memory(scale: Scale) -> list[Figure]:
    """The resident memory of a kernel that holds them all."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        history = await _fill(folder, tasks=scale.of(TASKS, quick=500), moves=0)
        await _start(folder, history)
        gc.collect()
        async with _kernel(folder) as kernel:
            await kernel.start(owner_name="bench", hands=())
            await kernel.find(history.workspace_id)
            resident = _resident_mb()
            await kernel.stop()
    tasks = f"{scale.of(TASKS, quick=500):,} open tasks in one workspace, loaded from its snapshot"
    return [
        Figure(name="memory with 100,000 open tasks", unit="MB", value=resident, goal="< 400 MB", note=tasks)
    ]


async def _fill(folder: Path, *, tasks: int, moves: int = MOVES) -> History:
    async with _kernel(folder) as kernel:
        await kernel.start(owner_name="bench", hands=())
        owner_id = kernel.owner_id
        await kernel.stop()
    log = await SqliteLog.open(folder / "log.sqlite")
    history = History(1, owner_id=owner_id)
    history.begin()
    for _ in range(tasks):
        history.add_task(moves=moves)
        for part in history.batches():
            await log.append([part])
    for part in history.batches(flush=True):
        await log.append([part])
    await log.close()
    remove_files(folder / SNAPSHOTS)
    return history


async def _start(folder: Path, history: History) -> tuple[float, float]:
    """Seconds until commands are taken, and until the workspace is in memory."""
    async with _kernel(folder) as kernel:
        with Watch() as ready:
            await kernel.start(owner_name="bench", hands=())
        with Watch() as loading:
            await kernel.find(history.workspace_id)
        await kernel.stop()
    return ready.wall_s, ready.wall_s + loading.wall_s


@asynccontextmanager
async def _kernel(folder: Path) -> AsyncGenerator[Kernel]:
    event_log = await SqliteLog.open(folder / "log.sqlite")
    view_store = await SqliteViews.open(folder / "views.sqlite", views=())
    snapshots = await open_snapshots(folder / SNAPSHOTS)
    try:
        yield Kernel(
            event_log,
            view_store,
            views=(),
            snapshots=snapshots,
            clock=SystemClock(),
            mint=SystemMint(b"bench"),
            artifacts=Scrap(),
            observer=Blind(),
        )
    finally:
        await snapshots.close()
        await view_store.close()
        await event_log.close()


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
