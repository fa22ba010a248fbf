"""Who is the daemon of this data, and of the folder where it listens: whoever holds both locks.

A lock is held by one process and ends with it, however it ends. Its file says who holds it and what
they are doing, so that a successor knows whether to wait.
"""

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from moduprompt.config import Config, ConfigRefused
from moduprompt.server.doors import DRAIN_S

DRAINING: Final = "draining"  # what a lock says while its holder lets go
HANDOVER_S: Final = 4 * DRAIN_S  # how long its successor waits for that
LOOK_S: Final = 0.05  # between two looks at a lock: the system can't wait for one with a limit
OTHERS_WRITE: Final = 0o022


class DataInUse(Exception):
    """Another daemon owns this data."""


@contextmanager
def locked(path: Path, *, config: Config) -> Generator[Callable[[str], None]]:
    """Held by one process, and only as long as it lives. Gives how to say what the holder does.

    Raises DataInUse, or ConfigRefused where a daemon of other data listens.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take_lock(descriptor, config=config)
        tell = _teller(descriptor, config=config)
        tell("running")
        yield tell
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, *, config: Config) -> None:
    ends = time.monotonic() + HANDOVER_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = os.pread(descriptor, 8_192, 0).decode("utf-8", "replace").split("\n")
            pid, state, log_db = (*words, "", "", "")[:3]
            if state != DRAINING or time.monotonic() > ends:
                raise _held_by(pid or "unknown", log_db=log_db, config=config) from None
            time.sleep(LOOK_S)
        else:
            return


def _teller(descriptor: int, *, config: Config) -> Callable[[str], None]:
    def tell(state: str) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n{state}\n{config.log_db}\n".encode(), 0)

    return tell


def _held_by(pid: str, *, log_db: str, config: Config) -> Exception:
    if log_db and Path(log_db).resolve() != config.log_db.resolve():  # one folder may go by several names
        return ConfigRefused(
            f"a daemon of other data ({log_db}, pid {pid}) listens in {config.runtime_dir}",
            path=str(config.runtime_dir),
            hint="choose another folder with --runtime-dir or MP_RUNTIME_DIR",
        )
    return DataInUse(f"the data in {config.state_dir} belongs to a running daemon (pid {pid})")


def make_runtime_folder(folder: Path) -> None:
    """Ours alone: who may write there could put a socket of their own in our place."""
    hint = "choose another folder with --runtime-dir or MP_RUNTIME_DIR"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as fault:
        raise ConfigRefused(f"{folder}: {fault.strerror or fault}", path=str(folder), hint=hint) from fault
    if found.st_uid != os.getuid():
        raise ConfigRefused(
            f"the folder for sockets, {folder}, belongs to another user (uid {found.st_uid})",
            path=str(folder),
            hint=hint,
        )
    if found.st_mode & OTHERS_WRITE:
        raise ConfigRefused(
            f"others may write in the folder for sockets, {folder} (mode {found.st_mode & 0o7777:o})",
            path=str(folder),
            hint=f"chmod 700 {folder}, or {hint}",
        )


def make_data_folders(config: Config) -> None:
    """Ours alone; those that are there are left as they are."""
    for folder in (config.data_dir, config.state_dir, config.runs_dir, config.worktrees_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
