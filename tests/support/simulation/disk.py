# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportMissingTypeArgument=false, reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false
# The driver declares its buffers without their item types.
"""A disk for SQLite that lives in memory, can lose power at any write, and fails when a seed says so.

    with SimDisk(folder) as disk:
        log = await SqliteLog.open(disk.path("log.sqlite"), vfs=disk.name)
        later = disk.directory.after_power_cut(rng)     # what the next boot finds

An apsw VFS over `unix-excl`: locks and the shared index of the WAL are the real ones (on
files that stay empty), all bytes are ours. `on_change` is told of every write, sync,
truncation and removal before it happens; an exception from it is the disk's answer.
"""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final, Literal, Self

import apsw

from tests.support.simulation.medium import Directory, SimFile

BELOW: Final = "unix-excl"  # keeps the WAL's shared index in memory: no file of it, no mmap
LOGGED: Final = (apsw.SQLITE_OPEN_WAL, apsw.SQLITE_OPEN_MAIN_JOURNAL, apsw.SQLITE_OPEN_SUPER_JOURNAL)
Operation = Literal["write", "sync", "truncate", "remove"]
OnChange = Callable[[Operation, str], None]

_numbers = count()


@contextmanager
def ordered_failures() -> Generator[None]:
    """A failure that SQLite passes over is told nobody else.

    It does so with the removal of a journal. The driver then hands the exception to the interpreter as one that
    nobody could catch, which a test would fail of.
    """
    tell = sys.unraisablehook

    def hear(said: "sys.UnraisableHookArgs") -> None:
        if not isinstance(said.exc_value, apsw.IOError | apsw.FullError):
            tell(said)

    sys.unraisablehook = hear
    try:
        yield
    finally:
        sys.unraisablehook = tell


class SimDisk(apsw.VFS):
    """One file system with one folder. Leaving the block lets go of its name."""

    def __init__(self, folder: Path, *, holds: Directory | None = None) -> None:
        self.name = f"simulated-{next(_numbers)}"
        self.directory = holds or Directory()
        self.on_change: OnChange = _nothing
        self._folder = folder / self.name
        self._folder.mkdir()
        super().__init__(self.name, base=BELOW)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()

    def path(self, name: str) -> Path:
        """A file's path, as the store opens it."""
        return self._folder / name

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_File":  # noqa: N802 - SQLite's
        """A file whose bytes are ours."""
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's
        """The name goes; for good where the directory is synced."""
        short = Path(filename).name
        self.on_change("remove", short)
        if short not in self.directory.shown:
            raise apsw.IOError(f"there is no {short}")
        self.directory.remove(short)
        Path(filename).unlink(missing_ok=True)
        if syncdir:
            self.directory.sync()

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802, ARG002 - SQLite's
        """Whether there is such a file."""
        return Path(pathname).name in self.directory.shown


class _File(apsw.VFSFile):
    def __init__(self, disk: SimDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        called = name.filename() if isinstance(name, apsw.URIFilename) else name
        assert called is not None, "BUG: the store is configured to keep no temporary files"
        self._disk = disk
        self._called = Path(called).name
        if self._called not in disk.directory.shown and not flags[0] & apsw.SQLITE_OPEN_CREATE:
            raise apsw.CantOpenError(f"there is no {self._called}")
        self._file: SimFile = disk.directory.make(self._called)
        # As SQLite's own for Unix, which looks at the flags alone: an older file of a killed process counts.
        may_create = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        self._names_its_folder = may_create and any(flags[0] & kind for kind in LOGGED)
        Path(called).touch()
        super().__init__(BELOW, name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's
        return bytes(self._file.content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's
        self._disk.on_change("write", self._called)
        self._file.write(offset, data)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's
        self._disk.on_change("truncate", self._called)
        self._file.truncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802, ARG002 - SQLite's
        try:
            self._disk.on_change("sync", self._called)
        except apsw.Error:
            self._file.forsake()
            raise
        self._file.sync()
        if self._names_its_folder:  # with the first sync of a journal or a WAL
            self._disk.directory.sync()
            self._names_its_folder = False

    def xFileSize(self) -> int:  # noqa: N802 - SQLite's
        return len(self._file.content)

    def excepthook(self, etype: object, evalue: object, etraceback: object) -> None:
        """What was ordered is no surprise."""


def _nothing(_operation: Operation, _name: str) -> None:
    return
