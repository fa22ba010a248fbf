"""Compares the log with this machine once, after a start: run folders, keepers, processes, worktrees.

    on the machine                        in the log               what is done
    a keeper that waits                   its run has ended        it is let go
    a run folder, a worktree folder       nothing of that name     named
    a process or control group of a run   ended, or unknown        named
    (nothing)                             a worktree that is there named

Nothing is deleted and nobody is killed here: what a run's own hand did not sweep may be somebody's. The
machine is looked at first and the log after it, so what begins in between is known when it is looked up; and what is to
be named is looked at once more, so what ends in between is not said to be there.
"""

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from moduprompt.domain.run.state import ENDED
from moduprompt.effects.recovery.memory import StartMemory
from moduprompt.effects.runner.freeing import free_keepers
from moduprompt.effects.runner.port import Backend
from moduprompt.keeper import cgroups, processes
from moduprompt.keeper.keeper import SOCKET_NAME
from moduprompt.protocol import MissingWorktree, Refused, RunId, Stray, WorkspaceId, WorktreeId, is_id
from moduprompt.storage.port import StorageFailed

PAGE: Final = 500  # rows of one read of the worktrees
RUNS: Final = "runs"
WORKTREES: Final = "worktrees"
THERE: Final = ("ready",)  # while one is made or removed, its folder may be there or not


class Books(Protocol):
    """What the log says, as its read models have it."""

    async def wait(self) -> None:
        """Until the read models hold what is durable now. Raises Refused."""
        ...

    async def has_ended(self, run_id: RunId) -> bool:
        """Whether the log itself knows its end; where nobody can say, it does not."""
        ...

    async def row(self, collection: str, id_: str) -> bytes | None:
        """The JSON of an item, or None."""
        ...

    async def rows(self, collection: str, *, after: str, limit: int) -> list[tuple[str, bytes]]:
        """Ids and items of all workspaces, in the order of ids."""
        ...


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """Where on this machine a daemon's things are."""

    runs_dir: Path
    worktrees_dir: Path
    run_sockets_dir: Path


class _Run(msgspec.Struct, frozen=True):
    status: str


class _Worktree(msgspec.Struct, frozen=True):
    status: str
    workspace_id: WorkspaceId
    path: str | None = None


class _Marked(msgspec.Struct, frozen=True, kw_only=True):
    """A process that says it belongs to a run of ours."""

    pid: int
    start_time: int
    name: str
    run_id: str


class _Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What there is, by the names of runs and worktrees."""

    run_folders: tuple[str, ...]
    waiting_keepers: frozenset[str]
    worktree_folders: tuple[str, ...]
    control_groups: tuple[str, ...]
    marked: tuple[_Marked, ...]
    unread: tuple[str, ...]


async def compare(memory: StartMemory, books: Books, *, backend: Backend, grounds: Grounds) -> None:
    """All of it, once. What can't be looked at is said; nothing here stops a daemon."""
    try:
        machine = await asyncio.to_thread(_look, grounds)
        for why in machine.unread:
            memory.could_not_compare(why)
        await books.wait()
        await _compare_runs(memory, books, machine=machine, backend=backend)
        await _compare_worktrees(memory, books, machine=machine, worktrees_dir=grounds.worktrees_dir)
    except (OSError, StorageFailed) as fault:
        memory.could_not_compare(f"{type(fault).__name__}: {fault}")
    except Refused as fault:
        memory.could_not_compare(f"folders and processes: {fault}")
    finally:
        memory.compared()


async def _compare_runs(memory: StartMemory, books: Books, *, machine: _Machine, backend: Backend) -> None:
    folders = frozenset(machine.run_folders)
    named = folders | {each.run_id for each in machine.marked}
    status = {name: await _status(books, name) for name in sorted(named)}
    waiting = [RunId(name) for name in sorted(machine.waiting_keepers) if status[name] in ENDED]
    ended = [run_id for run_id in waiting if await books.has_ended(run_id)]
    memory.freed(await free_keepers(backend, ended))
    for name in machine.run_folders:
        if status[name] is None:
            kept = ", and a keeper listens there" if name in machine.waiting_keepers else ""
            memory.left_alone(Stray(kind="run_folder", name=_shown(name), why=f"no log knows this run{kept}"))
    still_there = frozenset(await asyncio.to_thread(cgroups.groups))
    for group in machine.control_groups:
        if group not in folders or group not in still_there:
            continue  # of a run without a folder here: another daemon's; or its own hand has swept it meanwhile
        if (why := _why(status[group])) is not None:
            memory.left_alone(Stray(kind="control_group", name=cgroups.PREFIX + group, why=why))
    for each in machine.marked:
        why = _why(status[each.run_id])
        if why is not None and processes.is_alive(each.pid, each.start_time):
            name = f"{each.name} ({each.pid})"
            memory.left_alone(Stray(kind="process", name=name, why=f"run {each.run_id}: {why}"))


def _shown(name: str) -> str:
    """A name on a disk may be any bytes; what is said of it is text."""
    return os.fsencode(name).decode("utf-8", "replace")


def _why(status: str | None) -> str | None:
    if status is None:
        return "no log knows this run"
    return "its run has ended" if status in ENDED else None


async def _status(books: Books, run_id: str) -> str | None:
    row = await books.row(RUNS, run_id) if is_id(run_id) else None
    return None if row is None else msgspec.json.decode(row, type=_Run).status


async def _compare_worktrees(
    memory: StartMemory, books: Books, *, machine: _Machine, worktrees_dir: Path
) -> None:
    for name in machine.worktree_folders:
        row = await books.row(WORKTREES, name) if is_id(name) else None
        status = None if row is None else msgspec.json.decode(row, type=_Worktree).status
        if status in (None, "deleted") and _lies_there(worktrees_dir / name):
            why = "no log knows this worktree" if status is None else "the log says it was deleted"
            memory.left_alone(Stray(kind="worktree_folder", name=_shown(name), why=why))
    after = ""
    while found := await books.rows(WORKTREES, after=after, limit=PAGE):
        after = found[-1][0]
        trees = [(id_, msgspec.json.decode(row, type=_Worktree)) for id_, row in found]
        for missing in await asyncio.to_thread(_missing, trees):
            memory.misses(missing)


def _lies_there(path: Path) -> bool:
    """Whether anything of the name is left, once the log was asked: its own hand may have removed it by then."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _missing(trees: list[tuple[str, _Worktree]]) -> list[MissingWorktree]:
    return [
        MissingWorktree(worktree_id=WorktreeId(id_), workspace_id=tree.workspace_id, path=tree.path)
        for id_, tree in trees
        if tree.status in THERE and tree.path is not None and not _is_there(tree.path)
    ]


def _is_there(path: str) -> bool:
    """Where it can't be told, nothing is called missing."""
    try:
        return stat.S_ISDIR(Path(path).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _look(grounds: Grounds) -> _Machine:
    unread: list[str] = []
    run_folders = _folders(grounds.runs_dir, unread)
    return _Machine(
        run_folders=run_folders,
        waiting_keepers=frozenset(name for name in run_folders if _listens(grounds.runs_dir / name, unread)),
        worktree_folders=_folders(grounds.worktrees_dir, unread),
        control_groups=tuple(cgroups.groups()),
        marked=tuple(_marked(grounds.run_sockets_dir)),
        unread=tuple(unread),
    )


def _folders(parent: Path, unread: list[str]) -> tuple[str, ...]:
    """Names of folders, and of links in their place; one with a dot in front is our own."""
    found: list[str] = []
    try:
        with os.scandir(parent) as entries:
            found = [each.name for each in entries if each.name[0] != "." and _is_folder(each)]
    except FileNotFoundError:
        return ()  # nothing of the kind was ever made
    except OSError as fault:
        unread.append(str(fault))
    return tuple(sorted(found))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() or entry.is_dir(follow_symlinks=False)


def _listens(run_folder: Path, unread: list[str]) -> bool:
    """Whether a keeper has its socket there. What can't be looked into is said, and the rest is looked at."""
    if run_folder.is_symlink():
        return False  # no keeper of ours was started there
    try:
        return stat.S_ISSOCK(os.lstat(run_folder / SOCKET_NAME).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as fault:
        unread.append(str(fault))
        return False


def _marked(run_sockets_dir: Path) -> Iterator[_Marked]:
    """Processes that reach the daemon at one of our sockets: those of other daemons are none of ours."""
    ours = f"\0MP_SOCKET={run_sockets_dir}/".encode()
    for process, environment in processes.environments(ours):
        run_id = environment.partition(b"\0MP_RUN=")[2].partition(b"\0")[0].decode("utf-8", "replace")
        if is_id(run_id):
            yield _Marked(pid=process.pid, start_time=process.start_time, name=process.name, run_id=run_id)
