"""Read models in a SQLite file of their own: one writing thread, one reading thread.

`synchronous=NORMAL` does here: what a power cut takes is folded again, and the position
stands in the same transaction as the rows, so it can never run ahead of them. A file that
is damaged is set aside and made again: nothing is lost with it but time.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import apsw

from moduprompt.domain.item import View
from moduprompt.protocol import WorkspaceId
from moduprompt.storage.port import READ_MAX, Standing, Step, StorageFailed, StorageTooNew
from moduprompt.storage.sqlite.connection import (
    PAGES_BETWEEN_CHECKPOINTS,
    Database,
    load_queries,
    open_reader,
    open_writer,
)
from moduprompt.storage.sqlite.editions import Edition, Editions
from moduprompt.storage.sqlite.words import expression
from moduprompt.storage.sqlite.worker import Worker
from moduprompt.views.search_words import Query

CHECKED_PAGES_MAX: Final = (
    25_000  # 100 MB, some tenths of a second of a start; a larger file is not looked through
)

log = logging.getLogger(__name__)


class SqliteViews:
    """A `ViewStore` in one file."""

    def __init__(
        self,
        *,
        writer: Database,
        reader: Database,
        editions: Editions,
        workers: Callable[[str], Worker] = Worker,
    ) -> None:
        self._write = writer
        self._read = reader
        self._editions = editions
        self._writing = workers("views-writer")
        self._reading = workers("views-reader")
        self._sql = load_queries("views.sql")
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        views: tuple[View, ...],
        vfs: str | None = None,
        workers: Callable[[str], Worker] = Worker,
        set_aside: Callable[[Path], None] | None = None,
    ) -> "SqliteViews":
        """Open or make the file. What nobody finished is dropped, and what is damaged is made again.

        `set_aside` moves a damaged file out of the way, on a file system that is not the machine's own.
        """
        opening = workers("views-open")
        try:
            try:
                opened = await opening.run(lambda: _open(path, views, vfs=vfs))
            except (StorageFailed, StorageTooNew) as fault:
                if not _is_beyond_repair(fault):
                    raise
                log.warning("views.made_again", extra={"path": str(path), "fault": str(fault)})
                await opening.run(lambda: (set_aside or _set_aside)(path))
                opened = await opening.run(lambda: _open(path, views, vfs=vfs))
        finally:
            opening.stop()
        writer, reader, editions = opened
        return cls(writer=writer, reader=reader, editions=editions, workers=workers)

    async def apply(self, views: Sequence[View], steps: Sequence[Step]) -> None:
        """One transaction for all of them."""
        await self._writing.run(lambda: self._apply(views, steps))

    async def position(self, view: View, workspace_id: WorkspaceId) -> int:
        """How far it has come."""

        def position() -> int:
            edition = self._editions.current(view)
            return 0 if edition is None else self._editions.position(edition, workspace_id)

        return await self._writing.run(position)

    async def rows(
        self, collection: str, *, workspace_id: WorkspaceId | None, after: str, limit: int
    ) -> list[tuple[str, bytes]]:
        """In the order of ids."""
        bounded = min(limit, READ_MAX)
        if workspace_id is None:
            return await self._select("list_all", (collection, after, bounded))
        return await self._select("list_of_home", (collection, workspace_id, after, bounded))

    async def answering(
        self, view: View, query: Query, *, workspace_id: WorkspaceId, strength: int, behind: str, limit: int
    ) -> list[tuple[str, bytes]]:
        """By the full-text index."""
        if view.searched is None:
            return []
        collection, asked = view.collections[0][0], expression(query, strength)
        bounded = min(limit, READ_MAX)
        return await self._select("answering", (collection, workspace_id, asked, behind, bounded))

    async def row(self, collection: str, id_: str) -> tuple[WorkspaceId, bytes] | None:
        """One of them."""
        found = await self._select("one", (collection, id_))
        return (WorkspaceId(found[0][0]), found[0][1]) if found else None

    async def standings(self, view: View) -> list[Standing]:
        """Of every workspace."""

        def standings() -> list[Standing]:
            edition = self._editions.current(view)
            return [] if edition is None else self._editions.standings(edition)

        return await self._writing.run(standings)

    async def count(self, view: View) -> int:
        """Of the edition that serves."""

        def count() -> int:
            edition = self._editions.serving(view)
            return 0 if edition is None else self._editions.count(edition)

        return await self._writing.run(count)

    async def forget(self, workspace_id: WorkspaceId) -> None:
        """Nothing of it any more."""
        await self._writing.run(lambda: self._editions.forget(workspace_id))

    async def shadow(self, view: View) -> "SqliteShadow":
        """An empty edition."""
        edition = await self._writing.run(lambda: self._editions.begin(view))
        return SqliteShadow(edition, editions=self._editions, writing=self._writing)

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

    async def _select(self, name: str, bindings: tuple[str | int, ...]) -> list[tuple[str, bytes]]:
        sql = self._sql[name]
        return await self._reading.run(lambda: self._read.select(sql, bindings, row=tuple[str, bytes]))

    def _apply(self, views: Sequence[View], steps: Sequence[Step]) -> None:
        self._editions.apply(views, steps)
        if self._write.wal_pages >= PAGES_BETWEEN_CHECKPOINTS:
            self._write.checkpoint()

    def _close_writer(self) -> None:
        self._write.checkpoint()
        self._write.close()


class SqliteShadow:
    """A `Shadow` in the file of the edition that serves."""

    def __init__(self, edition: Edition, *, editions: Editions, writing: Worker) -> None:
        self._edition = edition
        self._editions = editions
        self._writing = writing

    async def apply(self, steps: Sequence[Step]) -> None:
        """Into this edition alone."""
        await self._writing.run(lambda: self._editions.apply_to(self._edition, steps))

    async def position(self, workspace_id: WorkspaceId) -> int:
        """How far it has come."""
        return await self._writing.run(lambda: self._editions.position(self._edition, workspace_id))

    async def take_over(self) -> None:
        """Serve."""
        await self._writing.run(lambda: self._editions.hand_over(self._edition))

    async def discard(self) -> None:
        """Its rows are gone."""
        await self._writing.run(lambda: self._editions.drop(self._edition))


def _open(path: Path, views: tuple[View, ...], *, vfs: str | None) -> tuple[Database, Database, Editions]:
    with ExitStack() as opened:
        writer = open_writer(path, migrations="views", synchronous="NORMAL", vfs=vfs)
        opened.callback(writer.close)
        reader = open_reader(path, vfs=vfs)
        opened.callback(reader.close)
        _check(writer, path)
        editions = Editions(writer, views)
        editions.open()
        opened.pop_all()
    return writer, reader, editions


def _check(database: Database, path: Path) -> None:
    """A page that a failed sync has spoilt is met when somebody folds into it, which then never gets further."""
    (pages,) = database.select("PRAGMA page_count", (), row=tuple[int])[0]
    if pages > CHECKED_PAGES_MAX:
        return
    (said,) = database.select("PRAGMA quick_check(1)", (), row=tuple[str])[0]
    if said != "ok":
        raise StorageFailed(f"{path}: {said}") from apsw.CorruptError(said)


def _is_beyond_repair(fault: Exception) -> bool:
    """Whether nothing can be read from the file: damage, or a layout of the future."""
    return isinstance(fault, StorageTooNew) or isinstance(
        fault.__cause__, apsw.CorruptError | apsw.NotADBError
    )


def _set_aside(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.damaged"))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.touch(mode=0o600)  # made by us first, so that no other user can read it
