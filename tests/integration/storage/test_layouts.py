"""A log of an older layout: kept as it is before it is changed, brought up to date whole or not at all."""

from pathlib import Path

import apsw
import pytest

from moduprompt.storage.port import StorageFailed, StorageFull
from moduprompt.storage.sqlite import connection
from moduprompt.storage.sqlite.backup import KEPT_MAX, CopyDamaged, kept_copies
from moduprompt.storage.sqlite.connection import layout_scripts
from moduprompt.storage.sqlite.inspection import examine
from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.failing_disk import failing_disk
from tests.support.log_files import layout_of, rewritten, write_log

NEWEST = len(layout_scripts("log"))


async def test_before_a_new_layout_a_verified_copy_of_the_old_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    ids = await write_log(path, layout=1)
    before = examine(path)

    log = await SqliteLog.open(path)
    heads = await log.heads()
    await log.close()

    (copy,) = kept_copies(path)
    assert [head.workspace_id for head in heads] == ids
    assert (layout_of(path), layout_of(copy)) == (NEWEST, 1)
    assert "layout-1" in copy.name
    assert not before.damages
    assert examine(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o600


async def test_a_file_that_is_new_or_up_to_date_is_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        log = await SqliteLog.open(tmp_path / "log.sqlite")
        await log.close()

    assert not (tmp_path / "backups").exists()


async def test_only_the_last_few_copies_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    await write_log(path, layout=1)
    (tmp_path / "backups").mkdir()
    for day in range(1, 6):
        (tmp_path / "backups" / f"log-layout-1-2025010{day}T000000.000000Z.sqlite").touch()

    await (await SqliteLog.open(path)).close()

    kept = kept_copies(path)
    assert len(kept) == KEPT_MAX
    assert not examine(kept[0]).damages, "the newest is this one"
    assert "20250105" in kept[1].name


async def test_a_new_layout_that_fails_leaves_the_old_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an earlier step would have done: the version before must be able to go on with it."""
    path = tmp_path / "log.sqlite"
    await write_log(path, layout=1)
    before = examine(path)
    broken = [*layout_scripts("log"), "CREATE TABLE added (x); CREATE TABLE added (x);"]
    with monkeypatch.context() as patch:
        patch.setattr(connection, "layout_scripts", lambda _folder: broken)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        with pytest.raises(StorageFailed, match="added"):
            await SqliteLog.open(path)

    assert layout_of(path) == 1
    assert examine(path) == before
    log = await SqliteLog.open(path)
    assert {head.workspace_id: head.seq for head in await log.heads()} == {
        head.workspace_id: head.seq for head in before.heads
    }
    await log.close()


async def test_without_room_for_the_copy_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    await write_log(path, layout=1)
    before = path.read_bytes()
    with failing_disk() as disk:
        disk.fails("write", apsw.FullError, on=".part")
        with pytest.raises(StorageFull, match="backups"):
            await SqliteLog.open(path)
        assert disk.happened

    assert path.read_bytes() == before
    assert list((tmp_path / "backups").iterdir()) == []
    await (await SqliteLog.open(path)).close()
    assert layout_of(path) == NEWEST


async def test_a_damaged_log_gets_no_new_layout(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    _, workspace_id, *_ = await write_log(path, layout=1)
    rewritten(path, workspace_id, 2)
    before = path.read_bytes()

    with pytest.raises(CopyDamaged) as caught:
        await SqliteLog.open(path)

    (damage,) = caught.value.damages
    assert (damage.path, damage.workspace_id, damage.seq) == (str(path), workspace_id, 3)
    assert path.read_bytes() == before
    assert kept_copies(path) == []
