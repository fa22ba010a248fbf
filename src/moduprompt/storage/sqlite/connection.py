# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types; this is the only file that meets them.
"""How a SQLite file is opened, checked and brought up to date.

Guarantees: the library is a version without the WAL-reset bug; a file of a newer
version of this program is refused and left alone; `synchronous=FULL`, because with
less an acknowledged commit can be gone after a power cut (measured: 577 of 900).
"""

import logging
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

import apsw

from moduprompt.storage.port import StorageFailed, StorageFull, StorageTooNew

SQLITE_MIN: Final = (3, 51, 3)  # 3.7.0 to 3.51.2 can corrupt a WAL that is reset under a reader
SQLITE_WITHDRAWN: Final = (3, 52, 0)
APPLICATION_IDS: Final = {  # so that `file` and we know our own, and one is never taken for the other
    "log": 0x4D50524C,  # "MPRL"
    "views": 0x4D505256,  # "MPRV"
}
BUSY_MS: Final = 5_000  # a backup or an inspector may hold a lock for a moment
PAGES_BETWEEN_CHECKPOINTS: Final = 1_000  # 4 MB of WAL: short to replay, rare enough not to be felt

log = logging.getLogger(__name__)

SqlValue: TypeAlias = str | int | bytes | None
R = TypeVar("R")
_NAMED = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def check_library() -> None:
    """Refuse a SQLite that can lose data."""
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < SQLITE_MIN or version[:3] == SQLITE_WITHDRAWN:
        raise StorageFailed(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a write-ahead log; "
            f"{'.'.join(map(str, SQLITE_MIN))} or newer is needed"
        )


def load_queries(name: str) -> dict[str, str]:
    """The named statements of one file."""
    text = resources.files("moduprompt.storage.sqlite").joinpath(name).read_text("utf-8")
    parts = _NAMED.split(text)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


class Database:
    """One connection, its driver's errors said as the port says them."""

    def __init__(self, raw: apsw.Connection, path: Path) -> None:
        self._raw = raw
        self._path = path
        self.wal_pages = 0
        raw.set_wal_hook(self._count_pages)

    def select(self, sql: str, bindings: tuple[SqlValue, ...], *, row: type[R]) -> list[R]:  # noqa: ARG002
        """All rows; `row` says what the columns are, and STRICT tables keep it true."""
        with translated(self._path):
            return self._raw.execute(sql, bindings).fetchall()  # type: ignore[return-value]  # see above

    def write(self, sql: str, bindings: tuple[SqlValue, ...]) -> None:
        """One statement."""
        with translated(self._path):
            self._raw.execute(sql, bindings)

    def write_many(self, sql: str, rows: Iterable[tuple[SqlValue, ...]]) -> None:
        """One statement for each row."""
        with translated(self._path):
            self._raw.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All of the block or nothing, durable when it ends."""
        with translated(self._path):
            self._raw.execute("BEGIN IMMEDIATE")
        try:
            yield
            with translated(self._path):
                self._raw.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        try:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
        except apsw.Error as fault:  # what broke the transaction is what the caller must hear of
            log.warning("rollback.failed", extra={"path": str(self._path), "fault": str(fault)})

    def checkpoint(self) -> None:
        """Move what can be moved from the WAL into the file, without waiting for readers.

        A failure is logged and tried again after the next commit: what is in the WAL is durable.
        """
        try:
            self._raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self.wal_pages = 0
        except apsw.Error as fault:
            log.warning("checkpoint.failed", extra={"path": str(self._path), "fault": str(fault)})

    def close(self) -> None:
        """Let go, whatever the disk says: what was committed is in the WAL. Closing twice is fine."""
        try:
            self._raw.close()
        except apsw.Error as fault:
            log.warning("close.failed", extra={"path": str(self._path), "fault": str(fault)})

    def _count_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.wal_pages = pages
        return apsw.SQLITE_OK


def open_writer(
    path: Path, *, migrations: str, synchronous: Literal["FULL", "NORMAL"], vfs: str | None = None
) -> Database:
    """The one connection that writes this file; made and migrated when needed.

    Only FULL may acknowledge; NORMAL is for what can be folded again. `vfs` names the file
    system that SQLite goes through; None is the machine's own.
    """
    check_library()
    with translated(path):
        raw = apsw.Connection(str(path), vfs=vfs)
        try:
            raw.set_busy_timeout(BUSY_MS)
            _check_owner(raw, path, migrations=migrations)
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute(f"PRAGMA synchronous = {synchronous}")
            raw.execute("PRAGMA foreign_keys = ON")
            raw.execute("PRAGMA wal_autocheckpoint = 0")
            _migrate(raw, migrations)
            if synchronous == "FULL":
                _write_afresh(raw, path)
        except BaseException:
            raw.close()
            raise
    return Database(raw, path)


def open_reader(path: Path, *, vfs: str | None = None) -> Database:
    """A connection that can't write."""
    with translated(path):
        raw = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        raw.set_busy_timeout(BUSY_MS)
        raw.execute("PRAGMA query_only = ON")
    return Database(raw, path)


@contextmanager
def translated(path: Path) -> Generator[None]:
    """Say a driver's error as the port says it."""
    try:
        yield
    except (apsw.FullError, apsw.ReadOnlyError) as fault:
        raise StorageFull(f"{path}: {fault}") from fault
    except apsw.Error as fault:
        raise StorageFailed(f"{path}: {fault}") from fault


def _check_owner(connection: apsw.Connection, path: Path, *, migrations: str) -> None:
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # a refused file keeps even its WAL as it is
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if application not in (0, APPLICATION_IDS[migrations]) or (application == 0 and tables):
        raise StorageFailed(f"{path} is a database of another program, or no {migrations} of ours")
    newest = len(layout_scripts(migrations))
    if isinstance(version, int) and version > newest:
        raise StorageTooNew(
            f"{path} has layout {version}; this version of the program knows {newest} at most"
        )
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)


def _write_afresh(connection: apsw.Connection, path: Path) -> None:
    """Move the whole WAL into the file, so that nothing is appended to what a process before us left.

    Where its last sync failed, the system shows frames that the disk will never have; after a power
    cut every later frame would be gone with them.
    """
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:  # somebody reads the file at this moment, and that is no reason not to start
        log.warning("checkpoint.busy", extra={"path": str(path)})


def layout_scripts(folder: str) -> list[str]:
    """The numbered layouts of one kind of file, oldest first."""
    place = resources.files("moduprompt.storage.sqlite").joinpath("migrations", folder)
    names = sorted(entry.name for entry in place.iterdir() if entry.name.endswith(".sql"))
    return [place.joinpath(name).read_text("utf-8") for name in names]


def _migrate(connection: apsw.Connection, folder: str) -> None:
    scripts = layout_scripts(folder)
    version = connection.pragma("user_version")
    assert isinstance(version, int), "BUG: SQLite's user_version is a number"
    for number, script in enumerate(scripts[version:], start=version + 1):
        with connection:
            connection.execute(script)
            connection.execute(f"PRAGMA user_version = {number:d}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_IDS[folder]:d}")
