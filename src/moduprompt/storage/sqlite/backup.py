# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types.
"""Copies of a database: as of one moment, one file without a write-ahead log, looked at before they count.

A copy reads in slices beside whoever writes: nobody waits for it, and what is written meanwhile is not in
it. It is made under another name, synced, examined and only then renamed, so that what has a copy's name
is one. Before the layout of a log changes one is taken; the last few of these are kept.
"""

import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw
from msgspec.structs import replace

from moduprompt.storage.files import disk_faults, sync
from moduprompt.storage.port import StorageFailed
from moduprompt.storage.sqlite.connection import BUSY_MS, to_failure
from moduprompt.storage.sqlite.inspection import Examined, Told, examine, untold

PAGES_OF_A_SLICE: Final = 256  # 1 MB: between two of them progress is told, and an interrupt is heard
KEPT_MAX: Final = 3  # copies from before a new layout: the last releases one may want to go back to
PART: Final = ".part"  # what is not finished ends so


class CopyDamaged(StorageFailed):
    """The copy does not hold, so what it was made from does not either. Nothing was kept of it."""

    def __init__(self, source: Path, found: Examined) -> None:
        self.damages = tuple(replace(each, path=str(source)) for each in found.damages)
        super().__init__(f"it is damaged: {self.damages[0]}")


def copy_log(source: Path, target: Path, *, told: Told = untold) -> Examined:
    """A log's copy, examined. The target must not be there. Raises CopyDamaged, StorageFull or StorageFailed."""
    part = target.with_name(target.name + PART)
    part.unlink(missing_ok=True)
    with disk_faults(target):
        try:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            _copy(source, part, told)
            found = examine(part, told=told)
            if found.damages:
                raise CopyDamaged(source, found)
            sync(part)
            part.rename(target)
            sync(target.parent)
        finally:
            for leftover in (part, part.with_name(part.name + "-journal")):
                leftover.unlink(missing_ok=True)
    return found


def copy_before_migration(path: Path, layout: int) -> None:
    """Keep the log as it is in `backups` beside it, and the last few of those. Raises StorageFailed or StorageFull."""
    folder = path.parent / "backups"
    with disk_faults(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    copy_log(path, folder / f"{path.stem}-layout-{layout}-{stamp}.sqlite")
    for old in kept_copies(path)[KEPT_MAX:]:
        old.unlink(missing_ok=True)


def kept_copies(path: Path) -> list[Path]:
    """Those from before a new layout of this log, the newest first."""
    return sorted(
        (path.parent / "backups").glob(f"{path.stem}-layout-*.sqlite"),
        key=lambda each: each.stem.rpartition("-")[2],
        reverse=True,
    )


def _copy(source: Path, target: Path, told: Told) -> None:
    try:
        with closing(_reading(source)) as read, closing(apsw.Connection(str(target))) as write:
            write.execute("PRAGMA journal_mode = OFF")  # who dies half way leaves a name that nobody believes
            write.execute("PRAGMA synchronous = OFF")  # it is synced as a whole before it gets its name
            # A reader stands where it stands until it leaves: a copy is of one moment, and never begins again.
            read.execute("BEGIN")
            _ = read.execute("SELECT count(*) FROM sqlite_schema").get
            with write.backup("main", read, "main") as copying:
                while not copying.done:
                    copying.step(PAGES_OF_A_SLICE)
                    told("copying the log", copying.page_count - copying.remaining, copying.page_count)
        with closing(apsw.Connection(str(target))) as write:
            write.execute("PRAGMA journal_mode = DELETE")  # one file: nothing of it can be left behind
    except (apsw.FullError, apsw.ReadOnlyError) as fault:
        raise to_failure(target, fault) from fault
    except apsw.Error as fault:
        raise to_failure(source, fault) from fault


def _reading(source: Path) -> apsw.Connection:
    read = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    read.set_busy_timeout(BUSY_MS)
    read.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return read
