"""A sync that failed: the system shows what the disk will never have, and nothing may be built on that."""

import random
from pathlib import Path

import apsw
import pytest

from moduprompt.storage.port import StorageFailed
from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.simulation.disk import Operation, SimDisk
from tests.support.stores import W1, Tip, an_append


def no_sync(operation: Operation, name: str) -> None:
    if operation == "sync" and name.endswith("-wal"):
        raise apsw.IOError("a sync that fails")


@pytest.mark.parametrize("seed", range(10))
async def test_what_is_written_after_a_restart_survives_though_what_was_before_it_was_lost(
    tmp_path: Path, seed: int
) -> None:
    with SimDisk(tmp_path) as disk:
        log = await SqliteLog.open(disk.path("log.sqlite"), vfs=disk.name)
        await log.append([an_append(Tip(workspace_id=W1))])
        disk.on_change = no_sync
        with pytest.raises(StorageFailed):
            await log.append([an_append(Tip(workspace_id=W1).after(1))])
        left = disk.directory.after_crash()
        await log.close()

    with SimDisk(tmp_path, holds=left) as disk:
        log = await SqliteLog.open(disk.path("log.sqlite"), vfs=disk.name)
        tip = Tip.of(await log.claim(W1))
        await log.append([an_append(tip)])
        left = disk.directory.after_power_cut(random.Random(seed))
        await log.close()

    with SimDisk(tmp_path, holds=left) as disk:
        log = await SqliteLog.open(disk.path("log.sqlite"), vfs=disk.name)
        assert len(await log.read(W1, after=0, limit=10)) == tip.seq + 1
        await log.close()
