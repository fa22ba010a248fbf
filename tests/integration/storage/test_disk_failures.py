"""A disk that is full, or that fails: it is said, nothing is half there, and it goes on when the disk does."""

from collections.abc import Generator
from pathlib import Path

import apsw
import pytest

from moduprompt.storage.port import EventLog, StorageFailed, StorageFull
from moduprompt.storage.sqlite.log import SqliteLog
from tests.integration.storage.conftest import ROOM
from tests.support.failing_disk import FailingDisk, Operation, failing_disk
from tests.support.stores import W1, Tip, a_key, an_append


@pytest.fixture
def disk() -> Generator[FailingDisk]:
    with failing_disk() as opened:
        yield opened


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def seqs(log: EventLog) -> list[int]:
    return [event.seq for event in await log.read(W1, after=0, limit=10_000)]


@pytest.mark.parametrize(
    ("operation", "error", "said"),
    [
        ("write", apsw.FullError, StorageFull),
        ("write", apsw.IOError, StorageFailed),
        ("sync", apsw.IOError, StorageFailed),
        ("sync", apsw.FullError, StorageFull),
    ],
)
async def test_a_commit_that_fails_is_said_and_the_next_one_stands(
    disk: FailingDisk, tmp_path: Path, operation: Operation, error: type[apsw.Error], said: type[Exception]
) -> None:
    log = await SqliteLog.open(tmp_path / "log.sqlite")
    tip = Tip(workspace_id=W1)
    await log.append([an_append(tip)])

    disk.fails(operation, error, on="-wal")
    with pytest.raises(said):
        await log.append([an_append(tip.after(1), keys=[a_key("k")])])
    disk.heal()

    assert disk.happened
    claimed = Tip.of(await log.claim(W1))
    assert await seqs(log) == list(range(1, claimed.seq + 1))
    await log.append([an_append(claimed)])
    await log.close()
    again = await SqliteLog.open(tmp_path / "log.sqlite")
    assert await seqs(again) == list(range(1, claimed.seq + 2))
    await again.close()


@pytest.mark.parametrize("operation", ["write", "sync"])
async def test_a_checkpoint_that_fails_takes_nothing_back(
    disk: FailingDisk, tmp_path: Path, operation: Operation
) -> None:
    """The commit was durable before; to call it failed would be a lie."""
    log = await SqliteLog.open(tmp_path / "log.sqlite")
    tip = Tip(workspace_id=W1)
    disk.fails(operation, apsw.FullError, on=".sqlite")
    for _ in range(60):
        await log.append([an_append(tip, 100, text="x" * 1_000)])
        tip = tip.after(100)

    assert disk.happened
    assert len(await seqs(log)) == tip.seq
    disk.heal()
    await log.append([an_append(tip)])
    await log.close()
    assert names(tmp_path) == ["log.sqlite"]


async def test_a_connection_that_met_an_io_error_is_not_used_again(disk: FailingDisk, tmp_path: Path) -> None:
    """What it remembers of the file may be wrong, and some of its handles may never work again."""
    log = await SqliteLog.open(tmp_path / "log.sqlite")
    tip = Tip(workspace_id=W1)
    await log.append([an_append(tip)])

    disk.go_stale()
    with pytest.raises(StorageFailed):
        await log.append([an_append(tip.after(1))])

    claimed = Tip.of(await log.claim(W1))
    await log.append([an_append(claimed)])
    assert await seqs(log) == [1, 2]
    await log.close()


async def test_a_writer_whose_file_was_replaced_writes_nothing(tmp_path: Path) -> None:
    old, new = tmp_path / "log.sqlite", tmp_path / "new"
    log = await SqliteLog.open(old)
    tip = Tip(workspace_id=W1)
    await log.append([an_append(tip)])
    new.mkdir()
    for path in (old, tmp_path / "log.sqlite-wal", tmp_path / "log.sqlite-shm"):
        path.rename(new / path.name)

    with pytest.raises(StorageFailed, match=r"log\.sqlite"):
        await log.append([an_append(tip.after(1))])
    with pytest.raises(StorageFailed):
        await log.append([an_append(tip.after(1))])

    await log.close()
    assert not old.exists(), "a file that is gone is not made anew"
    again = await SqliteLog.open(new / "log.sqlite")
    assert await seqs(again) == [1]
    await again.close()


async def test_closing_on_a_failing_disk_lets_go_of_everything(disk: FailingDisk, tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path / "log.sqlite")
    await log.append([an_append(Tip(workspace_id=W1), keys=[a_key("k")])])
    disk.fails("write", apsw.IOError)
    await log.close()
    disk.heal()

    again = await SqliteLog.open(tmp_path / "log.sqlite")
    assert await seqs(again) == [1]
    await again.close()


async def test_a_full_disk_takes_nothing_and_recovers_when_there_is_room(small_disk: Path) -> None:
    log = await SqliteLog.open(small_disk / "log.sqlite")
    tip, ballast = Tip(workspace_id=W1), small_disk / "ballast"
    await log.append([an_append(tip)])
    ballast.write_bytes(b"x" * (ROOM // 2))
    written = tip.after(1)
    with pytest.raises(StorageFull):  # noqa: PT012 - how many fit is the file system's affair
        while True:
            await log.append([an_append(written, 10, text="x" * 2_000)])
            written = written.after(10)

    assert await seqs(log) == list(range(1, written.seq + 1))
    ballast.unlink()
    claimed = Tip.of(await log.claim(W1))
    assert claimed.seq == written.seq
    await log.append([an_append(claimed, 10, text="x" * 2_000)])
    assert await seqs(log) == list(range(1, written.seq + 11))
    await log.close()
