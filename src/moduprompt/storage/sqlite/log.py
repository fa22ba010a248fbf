"""The event log in a SQLite file: one writing thread, one reading thread.

A batch is one transaction. The head row is moved under its expected sequence and epoch
first, so a writer that was overtaken writes nothing. The writer is also the only one
that checkpoints.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from moduprompt.protocol import WorkspaceId
from moduprompt.storage.hashing import first_hash
from moduprompt.storage.port import (
    READ_MAX,
    Append,
    Head,
    HeadMoved,
    KeyRow,
    StoredEvent,
    assert_follows,
)
from moduprompt.storage.sqlite.backup import copy_before_migration
from moduprompt.storage.sqlite.connection import (
    PAGES_BETWEEN_CHECKPOINTS,
    Database,
    load_queries,
    open_reader,
    open_writer,
)
from moduprompt.storage.sqlite.known_keys import IN_VAIN_MAX, SLICE, KnownKeys, Use
from moduprompt.storage.sqlite.lookups import Lookups
from moduprompt.storage.sqlite.rows import to_key
from moduprompt.storage.sqlite.worker import Worker


class SqliteLog:
    """An `EventLog` in one file."""

    def __init__(
        self,
        *,
        writer: Database,
        reader: Database,
        workers: Callable[[str], Worker] = Worker,
        in_vain_max: int = IN_VAIN_MAX,
    ) -> None:
        self._write = writer
        self._read = reader
        self._writing = workers("log-writer")
        self._reading = workers("log-reader")
        self._sql = load_queries("log.sql")
        self._numbers: dict[WorkspaceId, int] = {}
        self._keys = Lookups(self._reading, self._find_keys)
        self._known = KnownKeys(read=self._next_uses, flush=self._flush, in_vain_max=in_vain_max)
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        vfs: str | None = None,
        workers: Callable[[str], Worker] = Worker,
        in_vain_max: int = IN_VAIN_MAX,
    ) -> "SqliteLog":
        """Open or make the file. Raises StorageFailed, StorageFull or StorageTooNew.

        `in_vain_max` look-ups of keys that find nothing, and the keys of a workspace are learned.
        """
        opening = workers("log-open")
        try:
            writer = await opening.run(
                lambda: open_writer(
                    path,
                    migrations="log",
                    synchronous="FULL",
                    vfs=vfs,
                    before_migration=copy_before_migration,
                )
            )
            with ExitStack() as undo:  # a start that is given up in the middle leaves nothing open either
                undo.callback(writer.close)
                reader = await opening.run(lambda: open_reader(path, vfs=vfs))
                undo.pop_all()
        finally:
            opening.stop()
        return cls(writer=writer, reader=reader, workers=workers, in_vain_max=in_vain_max)

    async def append(self, batch: Sequence[Append]) -> None:
        """One transaction, durable when this returns."""
        new = [each.workspace_id for each in batch if each.workspace_id not in self._numbers]
        for workspace_id in new:
            self._known.begin(workspace_id)
        for part in batch:
            self._known.add(part.workspace_id, ((row.actor, row.key) for row in part.keys))
        try:
            await self._writing.run(lambda: self._append(batch))
        except BaseException:  # whatever it was: others may have written, or nobody knows
            for part in batch:
                self._known.forget(part.workspace_id)
            raise
        for workspace_id in new:  # it was made by this, so that there is no key but those that were added
            self._known.complete(workspace_id)

    async def claim(self, workspace_id: WorkspaceId, *, held: int | None = None) -> Head:
        """The head under a new epoch, or under the one that is held."""
        self._known.forget(workspace_id)
        return await self._writing.run(lambda: self._claim(workspace_id, held))

    async def heads(self) -> list[Head]:
        """All workspaces."""
        rows = await self._reading.run(
            lambda: self._read.select(self._sql["heads"], (), row=tuple[str, int, str, int, int | None])
        )
        return [
            Head(
                workspace_id=WorkspaceId(id_),
                seq=seq,
                head_hash=head_hash,
                epoch=epoch,
                imported_to=imported_to,
            )
            for id_, seq, head_hash, epoch, imported_to in rows
        ]

    async def read(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[StoredEvent]:
        """In order."""
        bindings = (workspace_id, after, min(limit, READ_MAX))
        return await self._reading.run(lambda: self._events(self._sql["read"], bindings))

    async def read_stream(
        self, workspace_id: WorkspaceId, *, subject_id: str, after: int, limit: int
    ) -> list[StoredEvent]:
        """One subject's, in order."""
        bindings = (subject_id, workspace_id, after, min(limit, READ_MAX))
        return await self._reading.run(lambda: self._events(self._sql["read_stream"], bindings))

    async def find_key(self, workspace_id: WorkspaceId, *, actor: str, key: str) -> KeyRow | None:
        """The accepted use, or None."""
        if self._known.is_surely_fresh(workspace_id, (actor, key)):
            return None
        found = await self._keys.find((workspace_id, actor, key))
        if found is None and workspace_id in self._numbers:
            self._known.note_in_vain(workspace_id)
        return found

    async def close(self) -> None:
        """Checkpoint and let go."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._known.stop()
            await self._keys.stop()
            await self._reading.run(self._read.close)
        finally:
            await self._writing.run(self._close_writer)
            self._reading.stop()
            self._writing.stop()

    async def _next_uses(self, workspace_id: WorkspaceId, after: Use) -> list[Use]:
        bindings = (self._numbers[workspace_id], *after, SLICE)
        return await self._reading.run(
            lambda: self._read.select(self._sql["next_uses"], bindings, row=tuple[str, str])
        )

    async def _flush(self) -> None:
        await self._writing.run(lambda: None)

    def _find_keys(self, wanted: list[tuple[WorkspaceId, str, str]]) -> list[KeyRow | None]:
        sql = self._sql["find_key"]
        found = (
            self._read.select(sql, bindings, row=tuple[str, str, bytes, str, str, str, int, int])
            for bindings in wanted
        )
        return [to_key(rows[0]) if rows else None for rows in found]

    def _events(self, sql: str, bindings: tuple[str | int, ...]) -> list[StoredEvent]:
        rows = self._read.select(sql, bindings, row=tuple[int, str, bytes])
        return [StoredEvent(seq=seq, subject_id=subject, data=data) for seq, subject, data in rows]

    def _append(self, batch: Sequence[Append]) -> None:
        with self._write.transaction():
            numbers = {part.workspace_id: self._append_part(part) for part in batch}
        self._numbers.update(numbers)
        if self._write.wal_pages >= PAGES_BETWEEN_CHECKPOINTS:
            self._write.checkpoint()

    def _append_part(self, part: Append) -> int:
        assert_follows(part)
        ws = self._numbers.get(part.workspace_id) or self._number(part)
        seq = part.expected_seq + len(part.events)
        bindings = (seq, part.head_hash, part.imported_to, ws, part.expected_seq, part.epoch)
        if not self._write.select(self._sql["move_head"], bindings, row=tuple[int]):
            raise HeadMoved(f"workspace {part.workspace_id} is not at {part.expected_seq} in this epoch")
        events = [(ws, e.seq, e.subject_id, e.data) for e in part.events]
        self._write.insert(self._sql["add_event"], events)
        self._write.insert(self._sql["add_key"], [_to_row(ws, row) for row in part.keys])
        return ws

    def _number(self, part: Append) -> int:
        if (part.expected_seq, part.epoch) != (0, 1):
            raise HeadMoved(f"workspace {part.workspace_id} was never claimed by this writer")
        bindings = (part.workspace_id, first_hash(part.workspace_id))
        made = self._write.select(self._sql["make_workspace"], bindings, row=tuple[int])
        if not made:
            raise HeadMoved(f"workspace {part.workspace_id} exists already")
        return made[0][0]

    def _claim(self, workspace_id: WorkspaceId, held: int | None) -> Head:
        with self._write.transaction():
            if held is None:
                self._write.write(self._sql["add_workspace"], (workspace_id, first_hash(workspace_id)))
            else:
                self._stay(workspace_id, held)
            rows = self._write.select(
                self._sql["next_epoch"], (workspace_id,), row=tuple[int, str, int, str, int, int | None]
            )
        assert rows, "BUG: a workspace that was just added has a head"
        ws, _, seq, head_hash, epoch, imported_to = rows[0]
        self._numbers[workspace_id] = ws
        return Head(
            workspace_id=workspace_id, seq=seq, head_hash=head_hash, epoch=epoch, imported_to=imported_to
        )

    def _stay(self, workspace_id: WorkspaceId, held: int) -> None:
        """Step back, so that the step forward is to the epoch that is held.

        Only looking would not do: what a commit of unknown outcome has left may be seen and not be
        durable. This way there is a commit with a sync of its own, and one whose outcome is unknown
        too leaves the same epoch either way.
        """
        if not self._write.select(self._sql["epoch_before"], (workspace_id, held), row=tuple[int]):
            raise HeadMoved(f"workspace {workspace_id} is not in epoch {held} any more")

    def _close_writer(self) -> None:
        self._write.checkpoint()
        self._write.close()


def _to_row(ws: int, row: KeyRow) -> tuple[int, str, str, bytes, str, str, str, int, int]:
    return (
        ws,
        row.actor,
        row.key,
        row.digest,
        row.command_id,
        row.trace_id,
        row.answer_workspace,
        row.first_seq,
        row.last_seq,
    )
