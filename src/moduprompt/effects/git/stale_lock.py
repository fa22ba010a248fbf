"""Tells a lock file that a killed git left behind from one that a living git holds.

A lock is stale when it did not change for `wait_s` and no living git is old enough to
have made it: whoever holds a lock was started before the lock was written. Process ids
and working folders are not asked, because git closes the file while its editor or hook
runs and may work on a repository from anywhere. Where processes can't be listed
(no /proc), no lock is ever taken away.
"""

import asyncio
import contextlib
import os
import time
from pathlib import Path

import msgspec

POLL_S = 0.05  # short against what git needs for the smallest commit
CLOCK_SLACK_S = 2.0  # start times come in ticks and file times from another clock


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    inode: int
    written_ns: int


async def lock_is_out_of_the_way(lock: Path, *, wait_s: float) -> bool:
    """Wait for the lock to go; take it away when it is stale. False: somebody may hold it."""
    first = _look(lock)
    deadline = time.monotonic() + wait_s
    while (seen := _look(lock)) is not None:
        if time.monotonic() >= deadline:
            return seen == first and _remove_if_stale(lock, seen)
        await asyncio.sleep(POLL_S)
    return True


def _look(lock: Path) -> _Seen | None:
    try:
        found = lock.lstat()
    except OSError:
        return None
    return _Seen(inode=found.st_ino, written_ns=found.st_mtime_ns)


def _remove_if_stale(lock: Path, seen: _Seen) -> bool:
    lock_age_s = time.time() - seen.written_ns / 1e9
    ages = _ages_of_living_gits_s()
    if ages is None or any(age_s >= lock_age_s - CLOCK_SLACK_S for age_s in ages):
        return False
    with contextlib.suppress(FileNotFoundError):
        lock.unlink()
    return True


def _ages_of_living_gits_s() -> list[float] | None:
    try:
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        pids = [entry.name for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:
        return None
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    started = [_start_of_git_ticks(pid) for pid in pids]
    return [uptime_s - ticks / ticks_per_s for ticks in started if ticks is not None]


def _start_of_git_ticks(pid: str) -> int | None:
    """Field 22 of /proc/PID/stat, for a process named git…; None for others, for zombies and for the gone."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    name = raw[raw.index("(") + 1 : raw.rindex(")")]
    fields = raw[raw.rindex(")") + 2 :].split()
    if not name.startswith("git") or fields[0] in {"Z", "X"}:
        return None
    return int(fields[19])
