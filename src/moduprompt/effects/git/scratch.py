"""Scratch worktrees of our own inside the git folder: for a merge, and gone with it.

Each has a lock file beside it that its maker holds with flock(2). The system drops that lock
when the process dies, however it dies; so a scratch worktree whose lock can be had is a
leftover, and the next one who needs a scratch worktree sweeps it.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

from moduprompt.effects.git.locks import Locks
from moduprompt.effects.git.place import Place
from moduprompt.effects.git.process import GitProcess, refuse

FOLDER = "moduprompt"  # inside the shared git folder, where no working tree sees it
SCRATCH_MAX = 64  # merges at once in one repository; each is a whole checkout


@contextlib.asynccontextmanager
async def scratch_worktree(
    git: GitProcess, *, commit: str, place: Place, locks: Locks
) -> AsyncGenerator[str]:
    """A worktree detached at `commit`."""
    folder = Path(place.common_dir, FOLDER)
    _make(folder)
    with _claimed_in(folder) as scratch:
        try:
            async with locks.hold(place.common_dir):
                await _sweep(git, folder, place=place)
                add = ("worktree", "add", "--quiet", "--detach", "--", str(scratch), commit)
                await git.run(*add, at=place.top)
            yield str(scratch)
        finally:
            async with locks.hold(place.common_dir):
                await discard_worktree(git, str(scratch), at=place.top)


async def discard_worktree(git: GitProcess, path: str, *, at: str) -> None:
    """Remove a worktree that nobody ever worked in, in whatever state it is."""
    # The folder first: git refuses to remove a half-made worktree, but not a missing one.
    await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
    await git.run("worktree", "remove", "--force", "--force", "--", path, at=at, accept=(0, 128))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as broken:
        message = f"the git folder {folder.parent} can't be written: {broken.strerror}"
        raise refuse("git_failed", message, path=str(folder.parent)) from broken


async def _sweep(git: GitProcess, folder: Path, *, place: Place) -> None:
    for lock in await asyncio.to_thread(lambda: sorted(folder.glob("merge-*.lock"))):
        with _lock_of(lock, flags=os.O_RDWR) as is_ours:
            if is_ours:
                await discard_worktree(git, str(lock.with_suffix("")), at=place.top)
                lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _claimed_in(folder: Path) -> Generator[Path]:
    """A free name, ours until the end of the block."""
    for number in range(SCRATCH_MAX):
        lock = folder / f"merge-{number}.lock"
        with _lock_of(lock, flags=os.O_RDWR | os.O_CREAT | os.O_EXCL) as is_ours:
            if not is_ours:
                continue
            try:
                yield lock.with_suffix("")
            finally:
                lock.unlink(missing_ok=True)
            return
    raise refuse(
        "git_failed", f"{SCRATCH_MAX} merges are under way in {folder.parent}", path=str(folder.parent)
    )


@contextlib.contextmanager
def _lock_of(lock: Path, *, flags: int) -> Generator[bool]:
    """Hold the lock file if nobody does; tell whether."""
    try:
        descriptor = os.open(lock, flags | os.O_CLOEXEC, 0o600)
    except (FileExistsError, FileNotFoundError):
        yield False
        return
    try:
        yield _flock(descriptor) and _is_still(lock, descriptor)
    finally:
        os.close(descriptor)


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(lock: Path, descriptor: int) -> bool:
    """Whether the name still means this file: somebody may have swept it before we had the lock."""
    try:
        return lock.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
