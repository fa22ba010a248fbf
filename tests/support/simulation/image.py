"""A log file as it lies on a disk: every row of it, read without the adapter."""

from itertools import groupby
from pathlib import Path

import msgspec

from moduprompt.protocol import EventEnvelope, WorkspaceId, decode_event, encode
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.port import StorageFailed
from moduprompt.storage.sqlite.connection import Database, open_reader


class Violation(AssertionError):
    """Something that must hold does not. `check` names it."""

    def __init__(self, check: str, what: str) -> None:
        super().__init__(f"{check}: {what}")
        self.check = check


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A stored use of an idempotency key."""

    home: str
    actor: str
    key: str
    command_id: str
    answer_in: str
    first_seq: int
    last_seq: int


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """One workspace: its head, its bytes, and what they say."""

    id: WorkspaceId
    seq: int
    head_hash: str
    epoch: int
    seqs: tuple[int, ...]
    stored: tuple[bytes, ...]
    events: tuple[EventEnvelope, ...]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a log file says."""

    workspaces: dict[str, Workspace]
    keys: tuple[Key, ...]


def read_image(path: Path, *, vfs: str) -> Image:
    """The rows of a log file. One that SQLite finds damaged is a violation."""
    database = open_reader(path, vfs=vfs)
    try:
        found = database.select("PRAGMA integrity_check", (), row=tuple[str])
        hold("readable", found == [("ok",)], str(found))
        return Image(workspaces=_workspaces(database), keys=_keys(database))
    except StorageFailed as fault:
        raise Violation("readable", str(fault)) from fault
    finally:
        database.close()


def log_hash(image: Image) -> str:
    """One hash of all that was logged."""
    heads = sorted((each.id, each.seq, each.head_hash) for each in image.workspaces.values())
    keys = sorted((key.home, key.actor, key.key, key.command_id) for key in image.keys)
    return content_hash(encode([heads, keys]))


def hold(check: str, holds: bool, what: str) -> None:
    """It does, or it is a violation."""
    if not holds:
        raise Violation(check, what)


def _workspaces(database: Database) -> dict[str, Workspace]:
    heads = database.select(
        "SELECT ws, id, seq, head_hash, epoch FROM workspaces", (), row=tuple[int, str, int, str, int]
    )
    rows = database.select(
        "SELECT ws, seq, data FROM events ORDER BY ws, seq", (), row=tuple[int, int, bytes]
    )
    of = {ws: list(group) for ws, group in groupby(rows, key=lambda row: row[0])}
    return {
        id_: Workspace(
            id=WorkspaceId(id_),
            seq=seq,
            head_hash=head_hash,
            epoch=epoch,
            seqs=tuple(row[1] for row in of.get(ws, ())),
            stored=tuple(row[2] for row in of.get(ws, ())),
            events=tuple(decode_event(row[2]) for row in of.get(ws, ())),
        )
        for ws, id_, seq, head_hash, epoch in heads
    }


def _keys(database: Database) -> tuple[Key, ...]:
    rows = database.select(
        "SELECT w.id, k.actor, k.key, k.command_id, k.answer_in, k.first_seq, k.last_seq "
        "FROM keys k JOIN workspaces w USING (ws)",
        (),
        row=tuple[str, str, str, str, str, int, int],
    )
    return tuple(
        Key(
            home=home,
            actor=actor,
            key=key,
            command_id=command_id,
            answer_in=answer_in,
            first_seq=first_seq,
            last_seq=last_seq,
        )
        for home, actor, key, command_id, answer_in, first_seq, last_seq in rows
    )
