"""A log's file as it lies there, read without a daemon. Nothing is written, migrated or claimed."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from moduprompt.protocol import WorkspaceId
from moduprompt.storage.port import READ_MAX, Head, StorageFailed, StoredEvent
from moduprompt.storage.sqlite.connection import APPLICATION_IDS, Database, load_queries, open_reader


class LogFile:
    """The workspaces of one file. A daemon may write to it meanwhile: heads are read before events."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("log.sql")

    def heads(self) -> list[Head]:
        """All workspaces, also those whose import was cut short; of any layout."""
        rows = self._database.select(self._sql["ends"], (), row=tuple[str, int, str, int])
        return [
            Head(workspace_id=WorkspaceId(id_), seq=seq, head_hash=head_hash, epoch=epoch)
            for id_, seq, head_hash, epoch in rows
        ]

    def events(self, head: Head) -> Iterator[StoredEvent]:
        """One workspace's, in order, as far as its head says."""
        after = 0
        while after < head.seq:
            bindings = (head.workspace_id, after, min(READ_MAX, head.seq - after))
            rows = self._database.select(self._sql["read"], bindings, row=tuple[int, str, bytes])
            if not rows:
                return
            yield from (StoredEvent(seq=seq, subject_id=subject, data=data) for seq, subject, data in rows)
            after = rows[-1][0]


@contextmanager
def log_file(path: Path) -> Generator[LogFile]:
    """The file, open for reading. Raises StorageFailed where it is no log of ours."""
    database = open_reader(path)
    try:
        ((application,),) = database.select("PRAGMA application_id", (), row=tuple[int])
        if application != APPLICATION_IDS["log"]:
            raise StorageFailed(f"{path} is no log of ours")
        yield LogFile(database)
    finally:
        database.close()
