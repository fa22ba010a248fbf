# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types.
"""What was measured on: machine, versions, and the settings that durability depends on, as they are in force."""

import asyncio
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import apsw
import msgspec

from bench.rig import FOLDER
from moduprompt import __version__
from moduprompt.storage.sqlite.log import SqliteLog

PACKAGES: Final = ("uvloop", "uvicorn", "starlette", "msgspec", "apsw", "eventsourcing", "dbos", "matplotlib")
SYNCS: Final = 200  # enough for a median of something that takes a tenth of a millisecond
SYNCHRONOUS: Final = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Lines for the head of the results."""

    lines: tuple[str, ...]


def machine() -> Machine:
    """This one, now."""
    return Machine(
        lines=(
            f"{time.strftime('%Y-%m-%d', time.gmtime())}, version {__version__}",
            f"{platform.platform()}, {_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB",
            f"load average when it ended: {', '.join(f'{load:.1f}' for load in os.getloadavg())}",
            f"Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, {_versions()}",
            f"the log as the daemon opens it: {asyncio.run(_settings())}",
            f"the disk: {_file_system(FOLDER)}, a write of 4 KiB with fdatasync takes {_sync_us():.0f} µs",
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _versions() -> str:
    found: list[str] = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)


async def _settings() -> str:
    """Asked of the very connection that writes."""
    asked: list[apsw.Connection] = []

    def note(connection: apsw.Connection) -> None:
        asked.append(connection)

    hooks: list[Callable[[apsw.Connection], None]] = apsw.connection_hooks
    hooks.append(note)
    try:
        with TemporaryDirectory(dir=_made(FOLDER)) as folder:
            opened = await SqliteLog.open(Path(folder) / "log.sqlite")
            said = " and ".join(sorted({_pragmas(each) for each in asked}))
            await opened.close()
    finally:
        hooks.remove(note)
    return said


def _pragmas(connection: apsw.Connection) -> str:
    journal = str(connection.pragma("journal_mode")).upper()
    synchronous = connection.pragma("synchronous")
    if connection.pragma("query_only"):
        return f"{journal}, query_only (readers)"
    checkpoint = connection.pragma("wal_autocheckpoint")
    level = SYNCHRONOUS[synchronous] if isinstance(synchronous, int) else str(synchronous)
    return f"{journal}, synchronous={level}, wal_autocheckpoint={checkpoint} (the writer)"


def _file_system(folder: Path) -> str:
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, point, found, *_ = line.split()
        if folder.is_relative_to(point) and len(point) > len(best):
            best, kind = point, found
    return kind


def _sync_us() -> float:
    took: list[float] = []
    with TemporaryDirectory(dir=_made(FOLDER)) as folder:
        descriptor = os.open(f"{folder}/synced", os.O_CREAT | os.O_WRONLY)
        for turn in range(SYNCS):
            began = time.perf_counter()
            os.pwrite(descriptor, b"x" * 4_096, 4_096 * turn)
            os.fdatasync(descriptor)
            took.append(time.perf_counter() - began)
        os.close(descriptor)
    return 1e6 * sorted(took)[SYNCS // 2]


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
