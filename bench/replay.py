# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types.
"""Folding a log again: state against nothing but decoding, views against raw writes of their rows.

What the views write is heard by the driver once, statement by statement, and is then the yardstick: the
same rows, the same statements, the same transactions, in a file of the same layout.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

import apsw

from bench.figures import Figure, Scale, Watch, in_turns
from bench.rig import FOLDER, Rig, rig
from bench.sampling import profiled
from moduprompt.daemon import ALL_VIEWS
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.projector import to_step
from moduprompt.protocol import decode_event
from moduprompt.storage.hashing import first_hash
from moduprompt.storage.port import READ_MAX, Head, StoredEvent
from moduprompt.storage.sqlite.connection import SqlValue
from moduprompt.storage.sqlite.views import SqliteViews

TASKS: Final = 600  # each leaves nine events of six kinds
PROFILED: Final = 10  # rounds of a profile: each takes some hundredths of a second
BATCH: Final = 1_000  # what the projector folds in one transaction
PAGES: Final = (
    1_000  # of the write-ahead log, after which the store moves them into the file, and SQLite by itself
)

READING: Final = ("SELECT", "PRAGMA")

Statement: TypeAlias = tuple[str, tuple[SqlValue, ...]]
Written: TypeAlias = tuple[str, list[tuple[SqlValue, ...]]]
"""A statement, and the rows it was called with one after another."""


async def replay(scale: Scale) -> list[Figure]:
    """Both folds of the same history."""
    async with rig() as (kernel, _):
        await _fill(kernel, scale.of(TASKS, quick=50))
        stored = await _all(kernel)
        workspace_id = kernel.workspace_id
    head = Head(workspace_id=workspace_id, seq=0, head_hash=first_hash(workspace_id), epoch=1)
    rounds = scale.rounds
    written = await _written(stored)
    folded, decoded = await in_turns(lambda: _fold(head, stored), lambda: _decode(stored), rounds=rounds)
    viewed, inserted = await in_turns(
        lambda: _view(stored), lambda: _insert(written, events=len(stored)), rounds=rounds
    )
    rows = sum(len(bindings) for sql, bindings in written if sql.startswith("INSERT"))
    return [
        Figure(
            name="replay of a log into state",
            unit="events/s",
            value=folded,
            yardstick_name="decoding the same bytes and nothing else",
            yardstick=decoded,
            goal="ratio >= 0.4",
            note="hash chain and sequences verified on the way; the yardstick leaves payloads undecoded",
            profile=await profiled(lambda: _again(lambda: _fold(head, stored))),
        ),
        Figure(
            name="read models from zero",
            unit="events/s",
            value=viewed,
            yardstick_name="raw apsw, the same rows by the same statements",
            yardstick=inserted,
            goal="ratio >= 0.3",
            note=f"{len(ALL_VIEWS)} views in one transaction of {BATCH:,} events; {len(stored):,} events write"
            f" {rows:,} rows, and the yardstick writes exactly these",
            profile=await profiled(lambda: _again(lambda: _view(stored))),
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


async def _again(work: Callable[[], Awaitable[float]]) -> None:
    for _ in range(PROFILED):
        await work()


async def _view(stored: list[StoredEvent]) -> float:
    async with _fresh() as store:
        with Watch() as watch:
            await _fold_views(store, stored)
    return len(stored) / watch.wall_s


@asynccontextmanager
async def _fresh() -> AsyncGenerator[SqliteViews]:
    with TemporaryDirectory(dir=FOLDER) as folder:
        store = await SqliteViews.open(Path(folder) / "views.sqlite", views=ALL_VIEWS)
        try:
            yield store
        finally:
            await store.close()


async def _fold_views(store: SqliteViews, stored: list[StoredEvent]) -> None:
    for start in range(0, len(stored), BATCH):
        await store.apply(ALL_VIEWS, [to_step(each) for each in stored[start : start + BATCH]])


async def _written(stored: list[StoredEvent]) -> list[Written]:
    """What the views write of a log: each statement that changes something, and those around a transaction."""
    heard: list[Statement] = []
    apsw.connection_hooks.append(lambda connection: _listen(connection, heard))
    try:
        async with _fresh() as store:
            heard.clear()  # the layout is no row
            await _fold_views(store, stored)
    finally:
        apsw.connection_hooks.pop()
    changing = [each for each in heard if not each[0].startswith(READING)]
    return [(sql, [row for _, row in same]) for sql, same in groupby(changing, key=lambda each: each[0])]


def _listen(connection: apsw.Connection, heard: list[Statement]) -> None:
    def hear(_: object, sql: str, bindings: tuple[SqlValue, ...] | None) -> bool:
        heard.append((sql, bindings or ()))
        return True

    connection.exec_trace = hear  # type: ignore[assignment]  # every statement of the store binds by place


async def _insert(written: list[Written], *, events: int) -> float:
    with TemporaryDirectory(dir=FOLDER) as folder:
        path = Path(folder) / "views.sqlite"
        await (await SqliteViews.open(path, views=ALL_VIEWS)).close()  # for its layout
        took_s = await asyncio.to_thread(_insert_raw, path, written)
    return events / took_s


def _insert_raw(path: Path, written: list[Written]) -> float:
    raw = apsw.Connection(str(path))
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = NORMAL")
    raw.execute(f"PRAGMA wal_autocheckpoint = {PAGES}")
    with Watch() as watch:
        for sql, rows in written:
            raw.executemany(sql, rows)
    raw.close()
    return watch.wall_s
