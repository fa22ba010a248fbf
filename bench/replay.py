# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types.
"""Folding a log again: state against nothing but decoding, views against raw inserts of their rows."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from bench.figures import Figure, Scale, Watch, in_turns
from bench.rig import FOLDER, Rig, rig
from moduprompt.daemon import ALL_VIEWS
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.projector import to_step
from moduprompt.protocol import decode_event
from moduprompt.storage.hashing import first_hash
from moduprompt.storage.port import READ_MAX, Head, StoredEvent
from moduprompt.storage.sqlite.views import SqliteViews

TASKS = 600  # each leaves eleven events of seven kinds
BATCH = 1_000  # what the projector folds in one transaction


async def replay(scale: Scale) -> list[Figure]:
    """Both folds of the same history."""
    async with rig() as (kernel, _):
        await _fill(kernel, scale.of(TASKS, quick=50))
        stored = await _all(kernel)
        workspace_id = kernel.workspace_id
    head = Head(workspace_id=workspace_id, seq=0, head_hash=first_hash(workspace_id), epoch=1)
    rounds = scale.rounds
    folded, decoded = await in_turns(lambda: _fold(head, stored), lambda: _decode(stored), rounds=rounds)
    viewed, inserted = await in_turns(lambda: _view(stored), lambda: _insert(stored), rounds=rounds)
    return [
        Figure(
            name="replay of a log into state",
            unit="events/s",
            value=folded,
            yardstick_name="decoding the same bytes and nothing else",
            yardstick=decoded,
            goal="ratio >= 0.4",
            note="hash chain and sequences verified on the way",
        ),
        Figure(
            name="read models from zero",
            unit="events/s",
            value=viewed,
            yardstick_name="raw inserts of one row of the same size an event",
            yardstick=inserted,
            goal="ratio >= 0.3",
            note=f"{len(ALL_VIEWS)} views in one transaction of {BATCH} events",
        ),
    ]


async def _fill(kernel: Rig, tasks: int) -> None:
    async def one(number: int) -> None:
        ids = {"workspace_id": kernel.workspace_id}
        made = await kernel.submit(
            kernel.envelope("task.create", **ids, project_id=kernel.project_id, title=f"task {number}")
        )
        task_id = decode_event(made.events[0]).subject.id
        await kernel.submit(kernel.envelope("task.start", **ids, task_id=task_id))
        for _ in range(4):
            await kernel.submit(kernel.envelope("task.advance_stage", **ids, task_id=task_id))

    for start in range(0, tasks, 50):
        await asyncio.gather(*(one(number) for number in range(start, start + 50)))


async def _all(kernel: Rig) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    while more := await kernel.kernel.read_events(kernel.workspace_id, after=len(found), limit=BATCH):
        found += more
    return found


async def _fold(head: Head, stored: list[StoredEvent]) -> float:
    ledger = Ledger(head)
    with Watch() as watch:
        for start in range(0, len(stored), READ_MAX):
            ledger.fold(stored[start : start + READ_MAX])
    return len(stored) / watch.wall_s


async def _decode(stored: list[StoredEvent]) -> float:
    with Watch() as watch:
        for each in stored:
            decode_event(each.data)
    return len(stored) / watch.wall_s


async def _view(stored: list[StoredEvent]) -> float:
    with TemporaryDirectory(dir=FOLDER) as folder:
        store = await SqliteViews.open(Path(folder) / "views.sqlite", views=ALL_VIEWS)
        with Watch() as watch:
            for start in range(0, len(stored), BATCH):
                await store.apply(ALL_VIEWS, [to_step(each) for each in stored[start : start + BATCH]])
        await store.close()
    return len(stored) / watch.wall_s


async def _insert(stored: list[StoredEvent]) -> float:
    return await asyncio.to_thread(_insert_raw, stored)


def _insert_raw(stored: list[StoredEvent]) -> float:
    with TemporaryDirectory(dir=FOLDER) as folder:
        raw = apsw.Connection(str(Path(folder) / "raw.sqlite"))
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = NORMAL")
        raw.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT, data BLOB) STRICT")
        with Watch() as watch:
            for start in range(0, len(stored), BATCH):
                with raw:
                    raw.executemany(
                        "INSERT INTO rows (name, data) VALUES (?, ?)",
                        ((each.subject_id, each.data) for each in stored[start : start + BATCH]),
                    )
        raw.close()
    return len(stored) / watch.wall_s
