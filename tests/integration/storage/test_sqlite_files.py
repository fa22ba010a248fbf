# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types.
"""SQLite files: which ones are taken, which are left alone, and what nobody can do to the log."""

from pathlib import Path

import apsw
import pytest

from moduprompt.storage.port import StorageFailed, StorageTooNew
from moduprompt.storage.sqlite import connection
from moduprompt.storage.sqlite.connection import PAGES_BETWEEN_CHECKPOINTS
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.views import SqliteViews
from tests.support.stores import W1, Tip, a_key, an_append


async def a_log(path: Path) -> None:
    log = await SqliteLog.open(path)
    await log.append([an_append(Tip(workspace_id=W1), 3, keys=[a_key("k")])])
    await log.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = x'00'",
        "UPDATE events SET seq = seq + 100",
        "DELETE FROM events WHERE seq = 2",
        "UPDATE keys SET digest = x'00'",
        "DELETE FROM keys",
        "INSERT OR REPLACE INTO events (ws, seq, subject, data) VALUES (1, 3, 's', x'00')",
        "INSERT OR REPLACE INTO events (position, ws, seq, subject, data) VALUES (3, 1, 4, 's', x'00')",
        "REPLACE INTO keys SELECT ws, actor, key, x'00', command_id, trace_id, answer_in, 1, 1 FROM keys",
        "INSERT INTO events (ws, seq, subject, data) VALUES (1, 3, 's', x'00')",
        "INSERT INTO events (ws, seq, subject, data) VALUES (1, 0, 's', x'00')",
        "INSERT INTO events (ws, seq, subject, data) VALUES (77, 1, 's', x'00')",
        "INSERT INTO events (ws, seq, subject, data) VALUES (1, 'four', 's', x'00')",
        "INSERT INTO events (ws, seq, subject, data) VALUES (1, 4, 's', 'text')",
    ],
)
async def test_the_log_is_append_only_for_everybody(tmp_path: Path, statement: str) -> None:
    await a_log(tmp_path / "log.sqlite")
    raw = apsw.Connection(str(tmp_path / "log.sqlite"))
    raw.pragma("foreign_keys", True)

    with pytest.raises(apsw.ConstraintError):
        raw.execute(statement)

    raw.close()


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    await a_log(path)
    newer = apsw.Connection(str(path))
    newer.pragma("user_version", 99)
    newer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    newer.execute("CREATE TABLE of_the_future (x)")
    newer.close()  # as after a crash: its write-ahead log is still there
    before = contents(tmp_path)

    for _ in range(2):
        with pytest.raises(StorageTooNew, match="99"):
            await SqliteLog.open(path)

    after = contents(tmp_path)
    assert {name: after[name] for name in before if not name.endswith("-shm")} == {
        name: data for name, data in before.items() if not name.endswith("-shm")
    }
    assert "log.sqlite-wal" in after


async def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    for number, setting in enumerate(("", "PRAGMA application_id = 7; PRAGMA user_version = 1;")):
        path = tmp_path / f"{number}.sqlite"
        other = apsw.Connection(str(path))
        other.execute(f"CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1); {setting}")
        other.close()
        before = path.read_bytes()

        with pytest.raises(StorageFailed, match="another program"):
            await SqliteLog.open(path)

        assert path.read_bytes() == before


async def test_read_models_are_not_taken_for_a_log_nor_a_log_for_read_models(tmp_path: Path) -> None:
    await a_log(tmp_path / "log.sqlite")
    views = await SqliteViews.open(tmp_path / "views.sqlite", views=())
    await views.close()

    with pytest.raises(StorageFailed, match=r"views\.sqlite"):
        await SqliteLog.open(tmp_path / "views.sqlite")
    with pytest.raises(StorageFailed, match=r"log\.sqlite"):
        await SqliteViews.open(tmp_path / "log.sqlite", views=())


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    path.write_bytes(b"a letter to a friend " * 100)

    with pytest.raises(StorageFailed, match=r"log\.sqlite"):
        await SqliteLog.open(path)

    assert path.read_bytes() == b"a letter to a friend " * 100


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="nowhere"):
        await SqliteLog.open(tmp_path / "nowhere" / "log.sqlite")


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.52.0", "3.7.0"])
async def test_a_library_that_can_lose_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(connection.apsw, "sqlite_lib_version", lambda: version)

    with pytest.raises(StorageFailed, match=version):
        await SqliteLog.open(tmp_path / "log.sqlite")

    assert contents(tmp_path) == {}


@pytest.mark.parametrize("version", ["3.51.3", "3.53.0", "3.100.0", "4.0.0"])
def test_a_library_without_the_fault_is_taken(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(connection.apsw, "sqlite_lib_version", lambda: version)

    connection.check_library()


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    await a_log(tmp_path / "log.sqlite")
    reader = connection.open_reader(tmp_path / "log.sqlite")

    with pytest.raises(StorageFailed):
        reader.write("INSERT INTO events (ws, seq, subject, data) VALUES (1, 4, 's', x'00')", ())

    reader.close()


async def test_commits_are_synced(tmp_path: Path) -> None:
    """FULL is 2; with less an acknowledged commit can be gone after a power cut."""
    await a_log(tmp_path / "log.sqlite")
    writer = connection.open_writer(tmp_path / "log.sqlite", migrations="log", synchronous="FULL")

    assert writer.select("PRAGMA synchronous", (), row=tuple[int]) == [(2,)]
    assert writer.select("PRAGMA journal_mode", (), row=tuple[str]) == [("wal",)]
    writer.close()


async def test_the_write_ahead_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path / "log.sqlite")
    tip = Tip(workspace_id=W1)
    for _ in range(60):
        await log.append([an_append(tip, 100, text="x" * 1_000)])
        tip = tip.after(100)

    wal = (tmp_path / "log.sqlite-wal").stat().st_size
    await log.close()

    assert tip.seq * 1_000 > PAGES_BETWEEN_CHECKPOINTS * 4_096
    assert wal < 2 * PAGES_BETWEEN_CHECKPOINTS * 4_096


async def test_what_a_long_reader_made_the_write_ahead_log_grow_to_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WAL_PAGES_MAX", 2 * PAGES_BETWEEN_CHECKPOINTS)
    wal = tmp_path / "log.sqlite-wal"
    log = await SqliteLog.open(tmp_path / "log.sqlite")
    tip = Tip(workspace_id=W1)
    await log.append([an_append(tip)])
    reader = apsw.Connection(str(tmp_path / "log.sqlite"))
    reader.execute("BEGIN").execute("SELECT count(*) FROM events").get  # noqa: B018 - it stands there now
    while wal.stat().st_size < 3 * PAGES_BETWEEN_CHECKPOINTS * 4_096:
        tip = tip.after(1)
        await log.append([an_append(tip, 100, text="x" * 1_000)])
        tip = tip.after(99)

    reader.close()
    tip = tip.after(1)
    await log.append([an_append(tip)])

    assert wal.stat().st_size == 0
    await log.close()


async def test_closing_moves_everything_into_the_file(tmp_path: Path) -> None:
    await a_log(tmp_path / "log.sqlite")

    assert list(contents(tmp_path)) == ["log.sqlite"]
