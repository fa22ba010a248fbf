# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types.
"""Durable commands a second in process, against the same rows written by raw apsw."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from bench.figures import Figure, Scale, Watch, in_turns
from bench.rig import FOLDER, KeptLog, Rig, rig
from bench.sampling import profiled
from moduprompt.storage.port import Append

SINGLE = 400  # commands of one round from one client
CLIENTS = 64
EACH = 40  # commands of one round from each of many

SCHEMA = (
    Path(__file__).resolve().parent.parent / "src/moduprompt/storage/sqlite/migrations/log/0001_log.sql"
).read_text("utf-8")


async def commands(scale: Scale) -> list[Figure]:
    """One client, and sixty-four."""
    alone, each = scale.of(SINGLE, quick=20), scale.of(EACH, quick=2)
    async with rig(KeptLog) as (kernel, log):
        assert isinstance(log, KeptLog), "BUG: the rig was asked for a log that keeps"
        one, raw_one = await in_turns(
            lambda: from_clients(kernel, 1, alone), lambda: raw(log.kept, batch=1), rounds=scale.rounds
        )
        many, raw_many = await in_turns(
            lambda: from_clients(kernel, CLIENTS, each),
            lambda: raw(log.kept, batch=CLIENTS),
            rounds=scale.rounds,
        )
        of_one = await profiled(lambda: from_clients(kernel, 1, alone))
        of_many = await profiled(lambda: from_clients(kernel, CLIENTS, each))
    single = Figure(
        name="one client, in process",
        unit="commands/s",
        value=one,
        yardstick_name="raw apsw, the same rows, one transaction each",
        yardstick=raw_one,
        goal="ratio >= 0.6",
        profile=of_one,
    )
    crowd = Figure(
        name=f"{CLIENTS} clients, in process",
        unit="commands/s",
        value=many,
        yardstick_name=f"raw apsw, the same rows, {CLIENTS} a transaction",
        yardstick=raw_many,
        goal="ratio >= 0.4",
        profile=of_many,
    )
    gained = Figure(name=f"{CLIENTS} clients over one, in process", unit="x", value=many / one, goal=">= 4 x")
    return [single, crowd, gained]


async def from_clients(kernel: Rig, clients: int, each: int) -> float:
    """Commands a second of so many clients, each of which waits for its answer."""
    bodies = [[kernel.rename(f"{client}-{turn}") for turn in range(each)] for client in range(clients)]

    async def client(mine: list[bytes]) -> None:
        for body in mine:
            await kernel.submit(body)

    with Watch() as watch:
        await asyncio.gather(*(client(mine) for mine in bodies))
    return clients * each / watch.wall_s


async def raw(kept: Sequence[Append], *, batch: int) -> float:
    """The rows of the last commands again, in an empty file, with nothing around them."""
    rows = [_one_each(part) for part in kept[-2_000:]]
    flat = [row for part in rows for row in part][-(SINGLE if batch == 1 else CLIENTS * EACH) :]
    return await asyncio.to_thread(_write, flat, batch)


Row = tuple[str, bytes, tuple[str, str, bytes, str, str, str]]


def _one_each(part: Append) -> list[Row]:
    """An event, and the key under which it was asked for."""
    pairs = zip(part.events, part.keys, strict=False)
    return [
        (
            event.subject_id,
            event.data,
            (k.actor, k.key, k.digest, k.command_id, k.trace_id, k.answer_workspace),
        )
        for event, k in pairs
    ]


def _write(rows: list[Row], batch: int) -> float:
    with TemporaryDirectory(dir=FOLDER) as folder:
        raw = apsw.Connection(str(Path(folder) / "raw.sqlite"))
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
            raw.execute(f"PRAGMA {pragma}")
        raw.execute(SCHEMA)
        raw.execute("INSERT INTO workspaces (id, seq, head_hash, epoch) VALUES ('w', 0, '', 1)")
        with Watch() as watch:
            for start in range(0, len(rows), batch):
                _transaction(raw, rows[start : start + batch], start)
        raw.close()
    return len(rows) / watch.wall_s


def _transaction(raw: apsw.Connection, rows: list[Row], start: int) -> None:
    with raw:
        last = start + len(rows)
        raw.execute(
            "UPDATE workspaces SET seq = ?, head_hash = ? WHERE ws = 1 AND seq = ?", (last, "h" * 71, start)
        )
        raw.executemany(
            "INSERT INTO events (ws, seq, subject, data) VALUES (1, ?, ?, ?)",
            ((start + place + 1, subject, data) for place, (subject, data, _) in enumerate(rows)),
        )
        raw.executemany(
            "INSERT INTO keys (ws, actor, key, digest, command_id, trace_id, answer_in, first_seq, last_seq)"
            " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((*key, start + place + 1, start + place + 1) for place, (_, _, key) in enumerate(rows)),
        )
