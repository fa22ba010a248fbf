"""Read models in a SQLite file of their own: one writing thread, one reading thread.

`synchronous=NORMAL` does here: what a power cut takes is folded again, and the position
stands in the same transaction as the rows, so it can never run ahead of them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from moduprompt.domain.item import Item, View
from moduprompt.protocol import WorkspaceId, encode
from moduprompt.storage.port import READ_MAX, Step, StorageFailed
from moduprompt.storage.sqlite.connection import (
    PAGES_BETWEEN_CHECKPOINTS,
    Database,
    load_queries,
    open_reader,
    open_writer,
)
from moduprompt.storage.sqlite.worker import Worker

Place: TypeAlias = tuple[str, int, str]
"""A view, its version, and the workspace in which it has come somewhere."""

I = TypeVar("I", bound=Item)  # noqa: E741 - the row's type


class SqliteViews:
    """A `ViewStore` in one file."""

    def __init__(
        self,
        *,
        writer: Database,
        reader: Database,
        views: tuple[View, ...],
        workers: Callable[[str], Worker] = Worker,
    ) -> None:
        self._write = writer
        self._read = reader
        self._writing = workers("views-writer")
        self._reading = workers("views-reader")
        self._sql = load_queries("views.sql")
        self._versions = {name: view.version for view in views for name, _ in view.collections}
        self._places: dict[Place, int] = {}
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        views: tuple[View, ...],
        vfs: str | None = None,
        workers: Callable[[str], Worker] = Worker,
    ) -> "SqliteViews":
        """Open or make the file, and drop the rows of views that have another version now."""
        opening = workers("views-open")
        try:
            writer = await opening.run(
                lambda: open_writer(path, migrations="views", synchronous="NORMAL", vfs=vfs)
            )
            try:
                reader = await opening.run(lambda: open_reader(path, vfs=vfs))
            except StorageFailed:
                writer.close()
                raise
        finally:
            opening.stop()
        store = cls(writer=writer, reader=reader, views=views, workers=workers)
        await store._writing.run(lambda: store._drop_old(views))
        return store

    async def apply(self, views: Sequence[View], steps: Sequence[Step]) -> None:
        """One transaction for all of them."""
        await self._writing.run(lambda: self._apply(views, steps))

    async def position(self, view: View, workspace_id: WorkspaceId) -> int:
        """How far it has come."""
        place = (view.name, view.version, workspace_id)
        return await self._writing.run(lambda: self._position(place))

    async def rows(
        self, collection: str, *, workspace_id: WorkspaceId | None, after: str, limit: int
    ) -> list[tuple[str, bytes]]:
        """In the order of ids."""
        version = self._versions.get(collection, 0)
        bounded = min(limit, READ_MAX)
        if workspace_id is None:
            bindings: tuple[str | int, ...] = (collection, version, after, bounded)
            return await self._reading.run(lambda: self._list(self._sql["list_all"], bindings))
        narrow = (collection, version, workspace_id, after, bounded)
        return await self._reading.run(lambda: self._list(self._sql["list_of_workspace"], narrow))

    async def row(self, collection: str, id_: str) -> tuple[WorkspaceId, bytes] | None:
        """One of them."""
        bindings = (collection, self._versions.get(collection, 0), id_)
        found = await self._reading.run(lambda: self._list(self._sql["one"], bindings))
        return (WorkspaceId(found[0][0]), found[0][1]) if found else None

    async def close(self) -> None:
        """Checkpoint and let go."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._reading.run(self._read.close)
        finally:
            await self._writing.run(self._close_writer)
            self._reading.stop()
            self._writing.stop()

    def _list(self, sql: str, bindings: tuple[str | int, ...]) -> list[tuple[str, bytes]]:
        return self._read.select(sql, bindings, row=tuple[str, bytes])

    def _position(self, place: Place) -> int:
        known = self._places.get(place)
        if known is not None:
            return known
        rows = self._write.select(self._sql["position"], place, row=tuple[int])
        return rows[0][0] if rows else 0

    def _apply(self, views: Sequence[View], steps: Sequence[Step]) -> None:
        moved: dict[Place, int] = {}
        with self._write.transaction():
            for view in views:
                moved.update(self._fold(view, steps))
            self._write.write_many(
                self._sql["move_position"], ((*place, seq) for place, seq in moved.items())
            )
        self._places.update(moved)  # this is the only writer, so what it wrote is how things stand
        if self._write.wal_pages >= PAGES_BETWEEN_CHECKPOINTS:
            self._write.checkpoint()

    def _fold(self, view: View, steps: Sequence[Step]) -> dict[Place, int]:
        rows = _Rows(self._write, self._sql, view)
        reached: dict[Place, int] = {}
        for step in steps:
            place = (view.name, view.version, step.stamp.workspace_id)
            if place not in reached:
                reached[place] = self._position(place)
            if step.stamp.seq <= reached[place]:
                continue
            if step.event is not None:
                view.fold(rows, step.event, step.stamp)
            reached[place] = step.stamp.seq
        rows.flush()
        return reached

    def _drop_old(self, views: tuple[View, ...]) -> None:
        with self._write.transaction():
            for view in views:
                self._write.write(self._sql["drop_old_positions"], (view.name, view.version))
                for collection, _ in view.collections:
                    self._write.write(self._sql["drop_old_rows"], (collection, view.version))

    def _close_writer(self) -> None:
        self._write.checkpoint()
        self._write.close()


class _Rows:
    """The rows of one transaction: read once, written once at its end."""

    def __init__(self, database: Database, sql: dict[str, str], view: View) -> None:
        self._database = database
        self._sql = sql
        self._version = view.version
        self._names = {kind: name for name, kind in view.collections}
        self._seen: dict[tuple[str, str], Item | None] = {}
        self._changed: set[tuple[str, str]] = set()

    def get(self, kind: type[I], id_: str) -> I | None:
        at = (self._names[kind], id_)
        if at not in self._seen:
            found = self._database.select(self._sql["get"], (at[0], self._version, id_), row=tuple[bytes])
            self._seen[at] = msgspec.json.decode(found[0][0], type=kind) if found else None
        row = self._seen[at]
        return row if isinstance(row, kind) else None

    def put(self, row: Item) -> None:
        at = (self._names[type(row)], row.id)
        self._seen[at] = row
        self._changed.add(at)

    def drop(self, kind: type[Item], id_: str) -> None:
        at = (self._names[kind], id_)
        self._seen[at] = None
        self._changed.add(at)

    def flush(self) -> None:
        for collection, id_ in sorted(self._changed):
            row = self._seen[collection, id_]
            if row is None:
                self._database.write(self._sql["drop"], (collection, self._version, id_))
            else:
                values = (collection, self._version, id_, row.workspace_id, encode(row))
                self._database.write(self._sql["put"], values)
