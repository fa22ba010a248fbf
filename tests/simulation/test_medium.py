"""The simulated disk itself: what was synced stays, what was not may go, and SQLite believes it is a disk."""

import random
from pathlib import Path

import apsw
import pytest

from moduprompt.storage.port import StorageFailed
from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.simulation.disk import Operation, SimDisk
from tests.support.simulation.medium import SECTOR, Directory, SimFile
from tests.support.stores import W1, Tip, a_key, an_append


def outcomes(file: SimFile, number: int = 300) -> set[bytes]:
    return {bytes(file.after_power_cut(random.Random(seed)).content) for seed in range(number)}


def test_what_was_synced_survives_every_power_cut() -> None:
    file = SimFile()
    file.write(0, b"a" * 2_000)
    file.sync()

    assert outcomes(file) == {b"a" * 2_000}


def test_what_was_not_synced_is_lost_kept_and_torn_at_sectors() -> None:
    file = SimFile(b"a" * 4 * SECTOR)
    file.write(0, b"b" * 4 * SECTOR)
    found = outcomes(file)

    assert {b"a" * 4 * SECTOR, b"b" * 4 * SECTOR} < found
    for content in found:
        sectors = {content[at : at + SECTOR] for at in range(0, len(content), SECTOR)}
        assert sectors <= {b"a" * SECTOR, b"b" * SECTOR}


def test_a_later_write_may_be_kept_where_an_earlier_one_is_lost() -> None:
    file = SimFile(b"a" * 2 * SECTOR)
    file.write(0, b"b" * SECTOR)
    file.write(SECTOR, b"c" * SECTOR)

    assert b"a" * SECTOR + b"c" * SECTOR in outcomes(file)


def test_a_sync_that_failed_leaves_nothing_that_a_later_one_saves() -> None:
    file = SimFile()
    file.write(0, b"a" * SECTOR)
    file.forsake()
    file.sync()

    assert bytes(file.content) == b"a" * SECTOR
    assert outcomes(file) == {b""}


def test_names_that_were_not_synced_are_there_or_not() -> None:
    directory = Directory()
    directory.make("old")
    directory.sync()
    directory.remove("old")
    directory.make("new")
    found = {frozenset(directory.after_power_cut(random.Random(seed)).shown) for seed in range(50)}

    assert found == {frozenset(), frozenset({"old"}), frozenset({"new"}), frozenset({"old", "new"})}


def test_a_killed_process_takes_nothing_from_what_it_wrote() -> None:
    directory = Directory()
    directory.make("log").write(0, b"a" * SECTOR)
    after = directory.after_crash()
    directory.make("log").write(0, b"b" * SECTOR)

    assert bytes(after.shown["log"].content) == b"a" * SECTOR
    assert len(outcomes(after.shown["log"])) > 1


async def test_a_log_on_it_is_read_by_another_connection(tmp_path: Path) -> None:
    with SimDisk(tmp_path) as disk:
        log = await SqliteLog.open(disk.path("log.sqlite"), vfs=disk.name)
        await log.append([an_append(Tip(workspace_id=W1), 3, keys=[a_key("k")])])
        assert len(await log.read(W1, after=0, limit=10)) == 3
        await log.close()

        assert list(disk.directory.shown) == ["log.sqlite"]
        again = await SqliteLog.open(disk.path("log.sqlite"), vfs=disk.name)
        assert await again.find_key(W1, actor="user:u1", key="k")
        await again.close()


@pytest.mark.parametrize("failing", ["write", "sync"])
async def test_it_fails_when_it_is_told_to(tmp_path: Path, failing: Operation) -> None:
    def fail(operation: Operation, name: str) -> None:
        if operation == failing:
            raise apsw.IOError(f"the {operation} of {name} was told to fail")

    with SimDisk(tmp_path) as disk:
        log = await SqliteLog.open(disk.path("log.sqlite"), vfs=disk.name)
        disk.on_change = fail
        with pytest.raises(StorageFailed):
            await log.append([an_append(Tip(workspace_id=W1))])
        failing = "remove"
        await log.append([an_append(Tip(workspace_id=W1))])
        await log.close()
