"""A machine that doesn't look as the log says."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.recovery.comparing import Grounds, compare
from moduprompt.effects.recovery.memory import StartMemory
from moduprompt.keeper import cgroups
from moduprompt.protocol import Code, Recovery, Refused, RunId, refusal
from tests.support.fake_runner import RUN, WORKSPACE, Backend, QuickClock, gone

KNOWN = "00000000-0000-7000-8000-0000000000e1"
ENDED = "00000000-0000-7000-8000-0000000000e2"
UNKNOWN = "00000000-0000-7000-8000-0000000000e3"


class Books:
    """Read models with these rows."""

    def __init__(self, **rows: dict[str, dict[str, str]]) -> None:
        self._rows = rows
        self.is_late = False
        self.meanwhile: Callable[[], object] = lambda: (
            None
        )  # done between the look at the machine and the log

    async def wait(self) -> None:
        self.meanwhile()
        if self.is_late:
            raise Refused(refusal(Code.UNAVAILABLE, "the read models are behind the log"))

    async def has_ended(self, run_id: RunId) -> bool:
        return self._rows["runs"][run_id]["status"] == "exited"

    async def row(self, collection: str, id_: str) -> bytes | None:
        found = self._rows.get(collection, {}).get(id_)
        return None if found is None else msgspec.json.encode(found)

    async def rows(self, collection: str, *, after: str, limit: int) -> list[tuple[str, bytes]]:
        items = sorted(self._rows.get(collection, {}).items())
        return [(id_, msgspec.json.encode(row)) for id_, row in items if id_ > after][:limit]


def grounds(folder: Path) -> Grounds:
    made = Grounds(
        runs_dir=folder / "runs", worktrees_dir=folder / "worktrees", run_sockets_dir=folder / "agents"
    )
    for each in (made.runs_dir, made.worktrees_dir):
        each.mkdir()
    return made


async def compared(folder: Path, books: Books, where: Grounds) -> Recovery:
    memory = StartMemory(version="1.2.3", clock=QuickClock())
    await compare(memory, books, backend=Backend(folder / "runs", gone()), grounds=where)
    return memory.told()


async def test_a_folder_that_no_log_knows_is_named_and_left_alone(tmp_path: Path) -> None:
    where = grounds(tmp_path)
    for name in (KNOWN, UNKNOWN, "notes", ".bin"):
        (where.runs_dir / name).mkdir()

    found = await compared(tmp_path, Books(runs={KNOWN: {"status": "started"}}), where)

    assert [(each.kind, each.name) for each in found.strays] == [
        ("run_folder", UNKNOWN),
        ("run_folder", "notes"),
    ]
    assert (where.runs_dir / UNKNOWN).is_dir()
    assert found.took_ms is not None


async def test_what_a_runs_own_hand_has_removed_meanwhile_is_not_said_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log gets to know an end while the machine is compared with it: its group and its folder went before."""
    where = grounds(tmp_path)
    (where.runs_dir / KNOWN).mkdir()
    (where.runs_dir / ENDED).mkdir()
    tree = where.worktrees_dir / ENDED
    tree.mkdir()
    there = [KNOWN, ENDED]
    monkeypatch.setattr(cgroups, "groups", lambda: list(there))
    books = Books(
        runs={KNOWN: {"status": "lost"}, ENDED: {"status": "exited"}},
        worktrees={ENDED: {"status": "deleted", "workspace_id": WORKSPACE}},
    )

    def swept() -> None:
        there.remove(KNOWN)
        tree.rmdir()

    books.meanwhile = swept
    found = await compared(tmp_path, books, where)

    assert [(each.kind, each.name) for each in found.strays] == [("control_group", cgroups.PREFIX + ENDED)]


async def test_worktrees_are_compared_both_ways(tmp_path: Path) -> None:
    where = grounds(tmp_path)
    (where.worktrees_dir / UNKNOWN).mkdir()
    (where.worktrees_dir / ENDED).mkdir()
    missing = str(where.worktrees_dir / KNOWN)
    books = Books(
        worktrees={
            KNOWN: {"status": "ready", "workspace_id": WORKSPACE, "path": missing},
            ENDED: {"status": "deleted", "workspace_id": WORKSPACE},
            RUN: {"status": "deleting", "workspace_id": WORKSPACE, "path": missing},
        }
    )

    found = await compared(tmp_path, books, where)

    assert [(each.worktree_id, each.path) for each in found.missing_worktrees] == [(KNOWN, missing)]
    assert {(each.name, each.why) for each in found.strays} == {
        (UNKNOWN, "no log knows this worktree"),
        (ENDED, "the log says it was deleted"),
    }


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One that says it belongs to a run, as its environment has it."""
    marks = {"MP_RUN": ENDED, "MP_SOCKET": f"{tmp_path / 'agents'}/e2.sock"}
    waits = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", waits],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **marks},
    ) as started:
        assert started.stdout is not None
        started.stdout.readline()  # it is the program now, and has its environment
        yield started


async def test_a_process_of_a_run_that_has_ended_is_named_and_left_alone(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    where = grounds(tmp_path)

    found = await compared(tmp_path, Books(runs={ENDED: {"status": "exited"}}), where)
    live = await compared(tmp_path, Books(runs={ENDED: {"status": "started"}}), where)

    assert process.poll() is None
    assert [(each.kind, each.why) for each in found.strays] == [
        ("process", f"run {ENDED}: its run has ended")
    ]
    assert str(process.pid) in found.strays[0].name
    assert live.strays == ()


async def test_what_could_not_be_compared_is_said(tmp_path: Path) -> None:
    where = grounds(tmp_path)
    (where.runs_dir / UNKNOWN).mkdir()
    books = Books()
    books.is_late = True

    found = await compared(tmp_path, books, where)

    assert found.strays == (), "nobody is called a stray by read models that are behind"
    assert "behind the log" in found.not_compared[0]


async def test_a_name_that_is_no_text_is_told_as_text(tmp_path: Path) -> None:
    where = grounds(tmp_path)
    (where.runs_dir / os.fsdecode(b"odd\xff\n")).mkdir()

    found = await compared(tmp_path, Books(), where)

    assert [each.name for each in found.strays] == ["odd\ufffd\n"]
    assert msgspec.json.encode(found)


async def test_a_link_among_the_folders_of_runs_is_named_and_not_followed(tmp_path: Path) -> None:
    where = grounds(tmp_path)
    (where.runs_dir / UNKNOWN).symlink_to(
        where.runs_dir / UNKNOWN
    )  # to itself: whoever follows goes in circles
    (where.runs_dir / KNOWN).symlink_to(tmp_path)
    (tmp_path / "keeper.sock").touch()

    found = await compared(tmp_path, Books(runs={KNOWN: {"status": "exited"}}), where)

    assert [each.name for each in found.strays] == [UNKNOWN]
    assert (found.freed_keepers, found.not_compared) == ((), ())


async def test_what_can_not_be_looked_into_is_said_and_the_rest_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = grounds(tmp_path)
    (where.runs_dir / UNKNOWN).mkdir()
    (where.runs_dir / KNOWN).mkdir()
    looks = os.lstat

    def closed(path: str | Path) -> os.stat_result:
        if KNOWN in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return looks(path)

    monkeypatch.setattr(os, "lstat", closed)
    found = await compared(tmp_path, Books(runs={KNOWN: {"status": "started"}}), where)

    assert [each.name for each in found.strays] == [UNKNOWN]
    assert KNOWN in found.not_compared[0]


async def test_a_worktree_on_a_disk_that_can_not_be_read_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = grounds(tmp_path)
    place = str(where.worktrees_dir / KNOWN)
    looks = Path.stat

    def broken(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if str(path) == place:
            raise OSError(errno.EIO, "Input/output error", place)
        return looks(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", broken)
    books = Books(worktrees={KNOWN: {"status": "ready", "workspace_id": WORKSPACE, "path": place}})

    found = await compared(tmp_path, books, where)

    assert (found.missing_worktrees, found.not_compared) == ((), ())
