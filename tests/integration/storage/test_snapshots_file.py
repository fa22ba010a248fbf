# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types.
"""The file of snapshots may be deleted, torn or anybody's: it is made again, and nothing else happens."""

import logging
from pathlib import Path

import apsw
import pytest

from moduprompt.storage.port import StorageFailed
from moduprompt.storage.sqlite.snapshots import SqliteSnapshots, open_snapshots, remove_files
from tests.conformance.test_snapshot_store import a_note, a_piece
from tests.support.stores import W1


async def write_one(path: Path) -> None:
    store = await SqliteSnapshots.open(path)
    await store.publish(a_note(a_piece(1)), [a_piece(1)])
    await store.close()


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def overwrite(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def forge_a_note(path: Path) -> None:
    raw = apsw.Connection(str(path))
    raw.execute("UPDATE notes SET note = CAST(substr(note, 1, 20) || x'00' || substr(note, 22) AS BLOB)")
    raw.close()


def make_it_newer(path: Path) -> None:
    raw = apsw.Connection(str(path))
    raw.execute("PRAGMA user_version = 99")
    raw.close()


@pytest.mark.parametrize(
    "spoil", [tear, overwrite, forge_a_note, make_it_newer], ids=lambda each: each.__name__
)
async def test_a_file_that_can_not_be_used_is_thrown_away_with_a_line_in_the_log(
    tmp_path: Path, spoil: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "snapshots.sqlite"
    await write_one(path)
    assert callable(spoil)
    spoil(path)

    with caplog.at_level(logging.WARNING):
        store = await SqliteSnapshots.open(path)
    assert await store.notes() == []
    assert [record.message for record in caplog.records] == ["snapshots.thrown_away"]
    await store.publish(a_note(a_piece(1)), [a_piece(1)])
    await store.close()


async def test_a_file_that_is_deleted_while_it_is_used_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "snapshots.sqlite"
    store = await SqliteSnapshots.open(path)
    await store.publish(a_note(a_piece(1)), [a_piece(1)])
    remove_files(path)

    note = a_note(a_piece(2))
    await store.publish(note, [a_piece(2)])
    await store.close()
    again = await SqliteSnapshots.open(path)
    assert await again.notes() == [note]
    assert await again.note(W1) == note
    await again.close()


async def test_where_no_file_can_be_made_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"")
    store = await open_snapshots(tmp_path / "folder" / "snapshots.sqlite")

    await store.publish(a_note(a_piece(1)), [a_piece(1)])
    assert await store.notes() == []
    await store.close()


async def test_a_text_that_is_none_is_a_damaged_snapshot(tmp_path: Path) -> None:
    """What a medium spoils in a text, the driver can't hand on as one."""
    path = tmp_path / "snapshots.sqlite"
    store = await SqliteSnapshots.open(path)
    note = a_note(a_piece(1))
    await store.publish(note, [a_piece(1)])
    raw = apsw.Connection(str(path))
    raw.execute("UPDATE pieces SET kind = CAST(x'fb' AS TEXT)")
    raw.close()

    with pytest.raises(StorageFailed, match="not UTF-8"):
        await store.read(note, after=0, limit=10)
    await store.close()
