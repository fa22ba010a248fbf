"""Backups: whole or not there; and restores: the old store or the new one, wherever somebody is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from moduprompt.storage.backup_folder import BackupRefused, Store, check_backup, write_backup
from moduprompt.storage.port import HeadMoved, StorageFailed, StorageFull
from moduprompt.storage.restoring import finish_restore, put_in_place
from moduprompt.storage.sqlite.backup import CopyDamaged
from moduprompt.storage.sqlite.inspection import Examined, examine
from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.log_files import rewritten, write_log

# Kills itself, as the kernel would, before the n-th time that a name changes.
DIES = """
import os, signal, sys
from pathlib import Path
from moduprompt.storage.backup_folder import Store, check_backup, write_backup
from moduprompt.storage.restoring import put_in_place
left = int(sys.argv[1])
def mortal(call):
    def dying(self, *words, **how):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(self, *words, **how)
    return dying
for name in ("rename", "unlink", "mkdir", "write_bytes"):
    setattr(Path, name, mortal(getattr(Path, name)))
state, backup = Path(sys.argv[3]), Path(sys.argv[4])
store = Store(log=state / "log.sqlite", secret=state / "secret", artifacts=state.parent / "artifacts")
if sys.argv[2] == "backup":
    write_backup(store, backup, program="1", made_at="now")
else:
    put_in_place(backup, check_backup(backup), into=store, at="then")
"""
MOMENTS = range(24)  # more than either has


async def a_store(folder: Path, *, projects: Sequence[int] = (3, 2), secret: bytes = b"s" * 32) -> Store:
    state = folder / "state"
    state.mkdir(parents=True)
    await write_log(state / "log.sqlite", projects=projects)
    (state / "secret").write_bytes(secret)
    return Store(log=state / "log.sqlite", secret=state / "secret", artifacts=folder / "artifacts")


def backed_up(store: Store, target: Path) -> Path:
    write_backup(store, target, program="0.1.0", made_at="2026-01-01T00:00:00Z")
    return target


def ends(found: Examined) -> dict[str, tuple[int, str]]:
    assert not found.damages, found.damages
    return {head.workspace_id: (head.seq, head.head_hash) for head in found.heads}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dies(moment: int, what: str, *, state: Path, backup: Path) -> bool:
    """Whether it died; at the end of all moments it lives."""
    words = [sys.executable, "-c", DIES, str(moment), what, str(state), str(backup)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode != 0


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(data)


async def test_a_backup_holds_what_the_store_holds_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    store = await a_store(tmp_path)

    manifest = write_backup(store, tmp_path / "kept", program="0.1.0", made_at="now")

    assert check_backup(tmp_path / "kept") == manifest
    assert ends(examine(tmp_path / "kept" / "log.sqlite")) == ends(examine(store.log))
    assert (tmp_path / "kept" / "secret").read_bytes() == store.secret.read_bytes()
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    assert names(tmp_path / "kept") == [
        "log.sqlite",
        "manifest.json",
        "secret",
    ]


async def test_a_backup_of_a_damaged_log_is_refused_and_named(tmp_path: Path) -> None:
    store = await a_store(tmp_path)
    workspace_id = examine(store.log).heads[1].workspace_id
    rewritten(store.log, workspace_id, 2)

    with pytest.raises(CopyDamaged) as caught:
        backed_up(store, tmp_path / "kept")

    assert [(each.workspace_id, each.seq) for each in caught.value.damages] == [(workspace_id, 3)]
    assert names(tmp_path) == ["state"]


async def test_a_folder_with_something_in_it_is_not_written_over(tmp_path: Path) -> None:
    store = await a_store(tmp_path)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "letter").write_text("dear")

    with pytest.raises(BackupRefused, match="kept"):
        backed_up(store, tmp_path / "kept")

    assert (tmp_path / "kept" / "letter").read_text() == "dear"


@pytest.mark.parametrize("name", ["log.sqlite", "secret", "manifest.json"])
async def test_a_backup_of_which_a_byte_is_another_is_refused(tmp_path: Path, name: str) -> None:
    folder = backed_up(await a_store(tmp_path), tmp_path / "kept")
    size = (folder / name).stat().st_size
    for at in (0, size // 2, size - 2):
        flip(folder / name, at)
        with pytest.raises((BackupRefused, StorageFailed)):
            check_backup(folder)
        flip(folder / name, at)

    check_backup(folder)


async def test_a_restore_brings_back_what_was_and_keeps_what_is(tmp_path: Path) -> None:
    store = await a_store(tmp_path / "old", projects=(1,))
    folder = backed_up(await a_store(tmp_path / "new", secret=b"n" * 32), tmp_path / "kept")
    for name in ("views.sqlite", "views.sqlite-wal", "snapshots.sqlite"):
        (store.log.parent / name).write_text("folds")
    (store.log.parent / "log.sqlite-wal").write_bytes(b"")
    old = ends(examine(store.log))

    aside = put_in_place(folder, check_backup(folder), into=store, at="then")

    assert aside is not None
    assert aside == store.log.parent / "replaced" / "then"
    assert ends(examine(store.log)) == ends(examine(folder / "log.sqlite"))
    assert ends(examine(aside / "log.sqlite")) == old
    assert (store.secret.read_bytes(), (aside / "secret").read_bytes()) == (b"n" * 32, b"s" * 32)
    assert names(store.log.parent) == ["log.sqlite", "replaced", "secret"]


async def test_a_writer_of_before_a_restore_owns_nothing(tmp_path: Path) -> None:
    """Also one that opens the file anew and stands at the very same sequence."""
    store = await a_store(tmp_path, projects=(2,))
    folder = backed_up(store, tmp_path / "kept")
    log = await SqliteLog.open(store.log)
    claimed = [await log.claim(head.workspace_id) for head in await log.heads()]

    put_in_place(folder, check_backup(folder), into=store, at="then")

    epochs = {head.workspace_id: head.epoch for head in examine(store.log).heads}
    assert all(epochs[head.workspace_id] > head.epoch for head in claimed)
    with pytest.raises((HeadMoved, StorageFailed)):
        await log.claim(claimed[0].workspace_id)
    await log.close()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_backup_that_is_killed_is_none(tmp_path: Path, moment: int) -> None:
    store = await a_store(tmp_path)
    before = ends(examine(store.log))
    has_died = dies(moment, "backup", state=store.log.parent, backup=tmp_path / "kept")

    assert has_died or (tmp_path / "kept").exists()
    if (tmp_path / "kept").exists():
        check_backup(tmp_path / "kept")
    else:
        check_backup(backed_up(store, tmp_path / "kept"))
    assert ends(examine(store.log)) == before
    assert names(tmp_path) == ["kept", "state"], "nothing half done is left"


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_restore_that_is_killed_leaves_the_old_store_or_the_new_one(
    tmp_path: Path, moment: int
) -> None:
    store = await a_store(tmp_path / "old", projects=(1,))
    folder = backed_up(await a_store(tmp_path / "new", secret=b"n" * 32), tmp_path / "kept")
    for name in ("log.sqlite-wal", "views.sqlite"):
        (store.log.parent / name).write_bytes(b"")
    old, new = ends(examine(store.log)), ends(examine(folder / "log.sqlite"))

    has_died = dies(moment, "restore", state=store.log.parent, backup=folder)
    finish_restore(store)

    now = ends(examine(store.log))
    assert now in (old, new)
    assert has_died or now == new
    assert store.secret.read_bytes() == (b"s" if now == old else b"n") * 32
    if now == new:
        assert ends(examine(store.log.parent / "replaced" / "then" / "log.sqlite")) == old
        assert not (store.log.parent / "log.sqlite-wal").exists()
    again = put_in_place(folder, check_backup(folder), into=store, at="later")
    assert again is not None
    assert not list(store.log.parent.glob("restoring*"))


async def test_a_restore_without_room_changes_nothing(tmp_path: Path, small_disk: Path) -> None:
    store = await a_store(small_disk / "old", projects=(1,))
    folder = backed_up(await a_store(tmp_path / "new"), tmp_path / "kept")
    before = ends(examine(store.log))
    room = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(b"x" * (room.f_bavail * room.f_frsize - 40_000))

    with pytest.raises(StorageFull):
        put_in_place(folder, check_backup(folder), into=store, at="then")

    assert ends(examine(store.log)) == before
    assert not list(store.log.parent.glob("restoring*"))
