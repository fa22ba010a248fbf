# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportMissingTypeArgument=false, reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false
# The driver declares its buffers without their item types.
"""A disk that fails when it is told to: a SQLite VFS over the real one.

with failing_disk() as disk:
    log = await SqliteLog.open(path)
    disk.fails("write", apsw.FullError)
    ...
    disk.heal()
"""

from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from typing import Literal

import apsw

Operation = Literal["write", "sync", "truncate"]
_numbers = count()


class FailingDisk(apsw.VFS):
    """Passes everything on; what was told to fail raises."""

    def __init__(self) -> None:
        self._name = f"failing-{next(_numbers)}"
        self._failures: dict[tuple[Operation, str], type[apsw.Error]] = {}
        self.happened: list[str] = []
        self.generation = 0
        self.below = apsw.vfs_names()[0]
        super().__init__(self._name, base=self.below, makedefault=True)

    def fails(self, operation: Operation, error: type[apsw.Error], *, on: str = "") -> None:
        """From now on, for files whose name ends so (`-wal`, `.sqlite`)."""
        self._failures[operation, on] = error

    def heal(self) -> None:
        """Nothing fails any more."""
        self._failures.clear()

    def go_stale(self) -> None:
        """Whatever is open fails from now on and for ever; what is opened later does not."""
        self.generation += 1

    def meet(self, operation: Operation, name: str, *, generation: int) -> None:
        """Raise what was ordered."""
        if generation < self.generation:
            self.happened.append(f"{operation} of a stale file")
            raise apsw.IOError(f"{name} was opened before the disk came back")
        for (failing, suffix), error in self._failures.items():
            if failing == operation and name.endswith(suffix):
                self.happened.append(f"{operation} {suffix}")
                raise error(f"the {operation} of {name} was told to fail")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_File":  # noqa: N802 - SQLite's
        """A file that asks before it writes."""
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._generation = disk.generation
        self._called = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__(disk.below, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's
        self._disk.meet("write", self._called, generation=self._generation)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's
        self._disk.meet("sync", self._called, generation=self._generation)
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's
        self._disk.meet("truncate", self._called, generation=self._generation)
        super().xTruncate(newsize)

    def excepthook(self, etype: object, evalue: object, etraceback: object) -> None:
        """What was ordered is no surprise."""


@contextmanager
def failing_disk() -> Generator[FailingDisk]:
    """The default file system of every connection opened meanwhile."""
    disk = FailingDisk()
    try:
        yield disk
    finally:
        disk.unregister()
