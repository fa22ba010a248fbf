# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types; this is the only file that meets them.
"""How a SQLite file is opened, checked and brought up to date.

Guarantees: the library is a version without the WAL-reset bug; a file of a newer
version of this program is refused and left alone; `synchronous=FULL`, because with
less an acknowledged commit can be gone after a power cut (measured: 577 of 900).
A connection that met an I/O error is not used again: the next use opens another one.
"""

import errno
import logging
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

import apsw

from moduprompt.storage.port import StorageFailed, StorageFull, StorageTooNew

SQLITE_MIN: Final = (3, 51, 3)  # 3.7.0 to 3.51.2 can corrupt a WAL that is reset under a reader
SQLITE_WITHDRAWN: Final = (3, 52, 0)
APPLICATION_IDS: Final = {  # so that `file` and we know our own, and one is never taken for the other
    "log": 0x4D50524C,  # "MPRL"
    "views": 0x4D505256,  # "MPRV"
    "snapshots": 0x4D505253,  # "MPRS"
}
BUSY_MS: Final = 5_000  # a backup or an inspector may hold a lock for a moment
PAGES_BETWEEN_CHECKPOINTS: Final = 1_000  # 4 MB of WAL: short to replay, rare enough not to be felt
WAL_PAGES_MAX: Final = 16_000  # 64 MB: what a long reader, as a backup, made it grow to is given back
DOUBTFUL: Final = (  # what the driver says of a connection whose memory of the file can't be trusted any more
    apsw.IOError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ProtocolError,
)
ROWS_AT_ONCE: Final = 64  # of one statement: what a crowd of clients sends at once goes in one piece
STATEMENTS_KEPT: Final = 256  # prepared, of a connection: an INSERT of every number of rows into two tables

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

    def __init__(
        self, raw: apsw.Connection, path: Path, *, connect: Callable[[], apsw.Connection], on_disk: bool
    ) -> None:
        """`connect` opens another one; `on_disk` is False where the path is of no file system of the machine's."""
        self._path = path
        self._connect = connect
        self._on_disk = on_disk
        self._is_doubtful = False
        self.wal_pages = 0
        self._wal_peak = 0
        self._take(raw)

    def select(self, sql: str, bindings: tuple[SqlValue, ...], *, row: type[R]) -> list[R]:  # noqa: ARG002
        """All rows; `row` says what the columns are, and STRICT tables keep it true."""
        with self._trusted() as raw:
            return raw.execute(sql, bindings).fetchall()  # type: ignore[return-value]  # see above

    def each(self, sql: str, bindings: tuple[SqlValue, ...], *, row: type[R]) -> Iterator[R]:  # noqa: ARG002
        """The rows as they are read: those before one that can't be read are had."""
        with self._trusted() as raw:
            yield from raw.execute(sql, bindings)  # type: ignore[misc]  # see above

    def write(self, sql: str, bindings: tuple[SqlValue, ...]) -> None:
        """One statement."""
        with self._trusted() as raw:
            raw.execute(sql, bindings)

    def write_many(self, sql: str, rows: Iterable[tuple[SqlValue, ...]]) -> None:
        """One statement for each row."""
        with self._trusted() as raw:
            raw.executemany(sql, rows)

    def insert(self, sql: str, rows: Sequence[tuple[SqlValue, ...]]) -> None:
        """As `write_many`, for an INSERT that ends in the places of one row, in as few statements as can be.

        Within a statement the interpreter is let go of, and between two it must be waited for, which
        beside a busy thread takes longer than the rows.
        """
        with self._trusted() as raw:
            for start in range(0, len(rows), ROWS_AT_ONCE):
                part = rows[start : start + ROWS_AT_ONCE]
                values: list[SqlValue] = list(chain.from_iterable(part))
                raw.execute(_of_many(sql, len(part)), values)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All of the block or nothing, durable when it ends. Raises StorageFailed where the file was replaced."""
        self._refuse_other_file()
        with self._trusted() as raw:
            raw.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._trusted() as raw:
                raw.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def _trusted(self) -> Generator[apsw.Connection]:
        """The connection; another one where the last met an error after which nobody knows what it remembers."""
        try:
            if self._is_doubtful:
                self._reopen()
            yield self._raw
        except apsw.Error as fault:
            takes_none = self._takes_no_writes(fault)
            self._is_doubtful |= isinstance(fault, DOUBTFUL)
            if takes_none:
                raise StorageFull(f"{self._path}: {os.strerror(errno.EROFS)}") from fault
            raise to_failure(self._path, fault) from fault
        except UnicodeDecodeError as fault:
            raise _spoilt_text(self._path) from fault

    def _takes_no_writes(self, fault: apsw.Error) -> bool:
        """Whether a file system that turned read-only under us is what SQLite calls an I/O error."""
        if not isinstance(fault, apsw.IOError):
            return False
        try:
            return self._raw.system_errno == errno.EROFS
        except apsw.ConnectionClosedError:  # it could not be opened again
            return False

    def _reopen(self) -> None:
        log.warning("database.reopened", extra={"path": str(self._path)})
        self.close()
        self._take(self._connect())
        self._is_doubtful = False

    def _take(self, raw: apsw.Connection) -> None:
        self._raw = raw
        raw.set_wal_hook(self._count_pages)
        self._file = _identity(self._path) if self._on_disk else None

    def _refuse_other_file(self) -> None:
        """A writer of a file that was moved away writes where nobody reads: its answers would be lies."""
        if self._on_disk and not self._is_doubtful and _identity(self._path) != self._file:
            self._is_doubtful = True
            raise StorageFailed(f"{self._path} is not the file any more that was opened")

    def _roll_back(self) -> None:
        try:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
        except apsw.Error as fault:  # what broke the transaction is what the caller must hear of
            log.warning("rollback.failed", extra={"path": str(self._path), "fault": str(fault)})

    def checkpoint(self) -> None:
        """Move what can be moved from the WAL into the file, without waiting for readers.

        A WAL that has grown past its ceiling is cut, as soon as no reader stands in it. A failure is logged
        and tried again after the next commit: what is in the WAL is durable.
        """
        if self._is_doubtful:  # whoever opens it anew begins with this
            return
        is_past = self._wal_peak >= WAL_PAGES_MAX
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if is_past else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            self._raw.set_busy_timeout(0)
            self._raw.wal_checkpoint(mode=mode)
            self.wal_pages = 0
            self._wal_peak = 0 if is_past else self._wal_peak
        except apsw.BusyError:  # it moved what it could; a reader holds the rest
            self.wal_pages = 0
        except apsw.Error as fault:
            log.warning("checkpoint.failed", extra={"path": str(self._path), "fault": str(fault)})
        finally:
            self._raw.set_busy_timeout(BUSY_MS)

    def close(self) -> None:
        """Let go, whatever the disk says: what was committed is in the WAL. Closing twice is fine."""
        _let_go(self._raw, self._path)

    def _count_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.wal_pages = pages
        self._wal_peak = max(self._wal_peak, pages)
        return apsw.SQLITE_OK


@lru_cache(maxsize=STATEMENTS_KEPT)
def _of_many(sql: str, rows: int) -> str:
    """An INSERT of one row as one of so many."""
    head, places = sql.rstrip("; ").rsplit("VALUES", 1)
    return f"{head}VALUES {', '.join([places.strip()] * rows)}"


def open_writer(
    path: Path,
    *,
    migrations: str,
    synchronous: Literal["FULL", "NORMAL"],
    vfs: str | None = None,
    before_migration: Callable[[Path, int], None] | None = None,
) -> Database:
    """The one connection that writes this file; made and migrated when needed.

    Only FULL may acknowledge; NORMAL is for what can be folded again. `vfs` names the file
    system that SQLite goes through; None is the machine's own. `before_migration` is called with the
    layout of an older file before that is changed; where it raises, nothing is.
    """
    check_library()
    with translated(path):
        raw = apsw.Connection(str(path), vfs=vfs, statementcachesize=STATEMENTS_KEPT)
        with ExitStack() as undo:
            undo.callback(_let_go, raw, path)
            raw.set_busy_timeout(BUSY_MS)
            version = _check_owner(raw, path, migrations=migrations)
            if before_migration is not None and 0 < version < len(layout_scripts(migrations)):
                before_migration(path, version)
            raw.execute("PRAGMA journal_mode = WAL")
            _set_up_writer(raw, synchronous=synchronous)
            _migrate(raw, migrations)
            if synchronous == "FULL":
                _write_afresh(raw, path)
            undo.pop_all()

    def connect() -> apsw.Connection:
        """Never makes the file: one that is gone while it is in use must not be taken for a new one."""
        flags = apsw.SQLITE_OPEN_READWRITE
        again = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=STATEMENTS_KEPT)
        with ExitStack() as undo:
            undo.callback(_let_go, again, path)
            again.set_busy_timeout(BUSY_MS)
            _set_up_writer(again, synchronous=synchronous)
            if synchronous == "FULL":
                _write_afresh(again, path)
            undo.pop_all()
        return again

    return Database(raw, path, connect=connect, on_disk=vfs is None)


def open_reader(path: Path, *, vfs: str | None = None) -> Database:
    """A connection that can't write."""

    def connect() -> apsw.Connection:
        raw = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        with ExitStack() as undo:
            undo.callback(_let_go, raw, path)
            raw.set_busy_timeout(BUSY_MS)
            raw.execute("PRAGMA query_only = ON")
            undo.pop_all()
        return raw

    with translated(path):
        return Database(connect(), path, connect=connect, on_disk=vfs is None)


def open_untouched(path: Path) -> Database:
    """A connection that leaves the file and its WAL byte for byte as they are, however damaged, and sees both.

    What is left of a file that was cut short is read as far as it goes. Beside the file it may make the
    index of its WAL (`-shm`), which says nothing.
    """

    def connect() -> apsw.Connection:
        raw = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        raw.set_busy_timeout(BUSY_MS)
        raw.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        raw.execute("PRAGMA writable_schema = ON")  # or a file with fewer pages than it says would not open
        return raw

    with translated(path):
        return Database(connect(), path, connect=connect, on_disk=True)


def open_plain(path: Path) -> Database:
    """A file that nobody else has open, as it is: no layout is looked at, and no WAL is left."""

    def connect() -> apsw.Connection:
        return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)

    with translated(path):
        return Database(connect(), path, connect=connect, on_disk=True)


def _let_go(raw: apsw.Connection, path: Path) -> None:
    """Close it for good: one that is left half open fails once more when it is collected, where nobody hears it."""
    try:
        raw.close()
    except apsw.Error as fault:
        log.warning("close.failed", extra={"path": str(path), "fault": str(fault)})
        raw.close(force=True)


def _set_up_writer(connection: apsw.Connection, *, synchronous: Literal["FULL", "NORMAL"]) -> None:
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - asked before every commit, and half as dear
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def translated(path: Path) -> Generator[None]:
    """Say a driver's error as the port says it."""
    try:
        yield
    except apsw.Error as fault:
        raise to_failure(path, fault) from fault
    except UnicodeDecodeError as fault:
        raise _spoilt_text(path) from fault


def _spoilt_text(path: Path) -> StorageFailed:
    """SQLite does not look into texts: bytes that a medium has spoilt come up where the driver reads them."""
    return StorageFailed(f"{path} is damaged: a text in it is not UTF-8")


def to_failure(path: Path, fault: apsw.Error) -> StorageFailed:
    """A driver's error as the port says it."""
    is_full = isinstance(fault, apsw.FullError | apsw.ReadOnlyError)
    return (StorageFull if is_full else StorageFailed)(f"{path}: {fault}")


def _check_owner(connection: apsw.Connection, path: Path, *, migrations: str) -> int:
    """The file's layout; 0 for a new one. Raises StorageFailed or StorageTooNew."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # a refused file keeps even its WAL as it is
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if application not in (0, APPLICATION_IDS[migrations]) or (application == 0 and tables):
        raise StorageFailed(f"{path} is a database of another program, or no {migrations} of ours")
    newest = len(layout_scripts(migrations))
    assert isinstance(version, int), "BUG: SQLite's user_version is a number"
    if version > newest:
        raise StorageTooNew(
            f"{path} has layout {version}; this version of the program knows {newest} at most"
        )
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    return version


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
    """All that is missing in one transaction: a file has the layout it had, or the newest one."""
    scripts = layout_scripts(folder)
    version = connection.pragma("user_version")
    assert isinstance(version, int), "BUG: SQLite's user_version is a number"
    if version == len(scripts):
        return
    with connection:
        for script in scripts[version:]:
            connection.execute(script)
        connection.execute(f"PRAGMA user_version = {len(scripts):d}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_IDS[folder]:d}")
