"""Snapshots in a SQLite file of their own, on a thread of their own.

`synchronous=NORMAL` does here: what a power cut takes is folded again. A note and what it lets go of are one
transaction, each note carries the hash of itself, and a piece is taken only with the hash that its
note has of it. A file that is damaged is thrown away, and with it nothing but time.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.protocol import WorkspaceId
from moduprompt.storage.hashing import piece_digest
from moduprompt.storage.memory.snapshots import NoSnapshots
from moduprompt.storage.port import Note, Piece, SnapshotStore, StorageFailed, StorageTooNew
from moduprompt.storage.sqlite.connection import (
    PAGES_BETWEEN_CHECKPOINTS,
    Database,
    load_queries,
    open_writer,
    translated,
)
from moduprompt.storage.sqlite.worker import Worker

COMPANIONS: Final = ("-wal", "-shm", "")  # a WAL that outlived its database would be taken for another one's

log = logging.getLogger(__name__)

_to_note = msgspec.msgpack.Decoder(Note)
_from_note = msgspec.msgpack.Encoder()


class SqliteSnapshots:
    """A `SnapshotStore` in one file."""

    def __init__(self, database: Database, *, path: Path | None, worker: Worker) -> None:
        """`path` is None where the file is of no file system of the machine's."""
        self._database = database
        self._path = path
        self._worker = worker
        self._sql = load_queries("snapshots.sql")
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        vfs: str | None = None,
        workers: Callable[[str], Worker] = Worker,
        remove: Callable[[Path], None] | None = None,
    ) -> "SqliteSnapshots":
        """Open or make the file; one that can't be read is thrown away, with a line in the log.

        Raises StorageFailed where none can be made either. `remove` belongs to `vfs`, as the machine's own
        files are removed by `remove_files`.
        """
        worker = workers("snapshots")
        with ExitStack() as undo:
            undo.callback(worker.stop)
            database = await worker.run(lambda: _open(path, vfs=vfs, remove=remove or remove_files))
            undo.pop_all()
        return cls(database, path=path if vfs is None else None, worker=worker)

    async def notes(self) -> list[Note]:
        """All of them."""
        return await self._worker.run(lambda: _notes(self._database, self._sql["notes"], ()))

    async def note(self, workspace_id: WorkspaceId) -> Note | None:
        """One of them."""
        bindings = (workspace_id,)
        found = await self._worker.run(lambda: _notes(self._database, self._sql["note"], bindings))
        return found[0] if found else None

    async def read(self, note: Note, *, after: int, limit: int) -> list[Piece]:
        """In order."""
        return await self._worker.run(lambda: self._read(note, after, limit))

    async def add(self, workspace_id: WorkspaceId, pieces: Sequence[Piece]) -> None:
        """One transaction."""
        await self._worker.run(lambda: self._add(workspace_id, pieces))

    async def publish(self, note: Note, pieces: Sequence[Piece]) -> None:
        """One transaction."""
        await self._worker.run(lambda: self._publish(note, pieces))

    async def drop(self, workspace_id: WorkspaceId) -> None:
        """One transaction."""
        await self._worker.run(lambda: self._drop(workspace_id))

    async def close(self) -> None:
        """Checkpoint and let go."""
        if self._closed:
            return
        self._closed = True
        await self._worker.run(self._close)
        self._worker.stop()

    def _read(self, note: Note, after: int, limit: int) -> list[Piece]:
        named = [part for part in note.parts if part.number > after][:limit]
        if not named:
            return []
        digests = {part.number: part.digest for part in named}
        bindings = (note.workspace_id, after, named[-1].number, len(named))
        rows = self._database.select(self._sql["read"], bindings, row=tuple[int, str, str, bytes])
        if {number: piece_digest(data) for number, _, _, data in rows} != digests:
            raise StorageFailed(f"the snapshot of workspace {note.workspace_id} is not whole")
        return [
            Piece(number=number, kind=kind, version=version, data=data)
            for number, kind, version, data in rows
        ]

    def _add(self, workspace_id: WorkspaceId, pieces: Sequence[Piece]) -> None:
        self._make_again()
        with self._database.transaction():
            self._write_pieces(workspace_id, pieces)
        self._checkpoint()

    def _make_again(self) -> None:
        """The file may be deleted at any time, also under us."""
        if self._path is not None and not self._path.exists():
            self._database.close()
            self._database = _opened(self._path, vfs=None)

    def _write_pieces(self, workspace_id: WorkspaceId, pieces: Sequence[Piece]) -> None:
        rows = ((workspace_id, each.number, each.kind, each.version, each.data) for each in pieces)
        self._database.write_many(self._sql["add"], rows)

    def _publish(self, note: Note, pieces: Sequence[Piece]) -> None:
        self._make_again()
        data = _from_note.encode(note)
        named = {part.number for part in note.parts}
        with self._database.transaction():
            self._write_pieces(note.workspace_id, pieces)
            rows = self._database.select(self._sql["numbers"], (note.workspace_id,), row=tuple[int])
            there = {number for (number,) in rows}
            if not named <= there:
                raise StorageFailed(f"the snapshot of workspace {note.workspace_id} names what is not there")
            unnamed = ((note.workspace_id, number) for number in sorted(there - named))
            self._database.write_many(self._sql["forget_piece"], unnamed)
            self._database.write(self._sql["publish"], (note.workspace_id, data, piece_digest(data)))
        self._checkpoint()

    def _drop(self, workspace_id: WorkspaceId) -> None:
        with self._database.transaction():
            self._database.write(self._sql["drop_note"], (workspace_id,))
            self._database.write(self._sql["drop_pieces"], (workspace_id,))

    def _checkpoint(self) -> None:
        if self._database.wal_pages >= PAGES_BETWEEN_CHECKPOINTS:
            self._database.checkpoint()

    def _close(self) -> None:
        self._database.checkpoint()
        self._database.close()


async def open_snapshots(
    path: Path,
    *,
    vfs: str | None = None,
    workers: Callable[[str], Worker] = Worker,
    remove: Callable[[Path], None] | None = None,
) -> SnapshotStore:
    """As `SqliteSnapshots.open`; where none can be had, one that keeps nothing, with a line in the log."""
    try:
        return await SqliteSnapshots.open(path, vfs=vfs, workers=workers, remove=remove)
    except StorageFailed as fault:
        log.warning("snapshots.none", extra={"path": str(path), "fault": str(fault)})
        return NoSnapshots()


def remove_files(path: Path) -> None:
    """The database and what belongs to it."""
    for ending in COMPANIONS:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _open(path: Path, *, vfs: str | None, remove: Callable[[Path], None]) -> Database:
    try:
        return _opened(path, vfs=vfs)
    except (StorageFailed, StorageTooNew) as fault:
        log.warning("snapshots.thrown_away", extra={"path": str(path), "fault": str(fault)})
    try:
        with translated(path):
            remove(path)
    except OSError as fault:
        raise StorageFailed(f"{path}: {fault.strerror or fault}") from fault
    return _opened(path, vfs=vfs)


def _opened(path: Path, *, vfs: str | None) -> Database:
    database = open_writer(path, migrations="snapshots", synchronous="NORMAL", vfs=vfs)
    try:
        _notes(database, load_queries("snapshots.sql")["notes"], ())
    except StorageFailed:
        database.close()
        raise
    return database


def _notes(database: Database, sql: str, bindings: tuple[str, ...]) -> list[Note]:
    rows = database.select(sql, bindings, row=tuple[bytes, bytes])
    if any(piece_digest(data) != digest for data, digest in rows):
        raise StorageFailed("a note of a snapshot is damaged")
    try:
        return [_to_note.decode(data) for data, _ in rows]
    except msgspec.DecodeError as fault:
        raise StorageFailed(f"a note of a snapshot can't be read: {fault}") from fault
