"""Where a log stands: what is on the disk, never what is only on its way there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.kernel import ledger as ledgers
from moduprompt.storage.port import Append
from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.deadline import HANG_S, eventually_async, turns
from tests.support.served import Served


async def test_a_head_is_told_when_it_is_durable_and_not_before(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = await daemon.make_workspace()
    may_write, append = asyncio.Event(), SqliteLog.append

    async def held(log: SqliteLog, batch: Sequence[Append]) -> None:
        await may_write.wait()
        await append(log, batch)

    async def is_decided() -> bool:
        ledger = daemon.kernel.cabinet.get(workspace)
        return ledger is not None and ledger.seq == 2

    monkeypatch.setattr(SqliteLog, "append", held)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.submit(RenameWorkspace(workspace_id=workspace, name="later")))
        await eventually_async(is_decided)
        asked = tasks.create_task(daemon.get("/v1/log/head", workspace_id=workspace))
        await turns()
        assert not asked.done()
        may_write.set()

    assert asked.result().json()["seq"] == 2


async def test_a_large_state_is_hashed_beside_everybody_else(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = await daemon.make_workspace()
    may_hash, content_hash = threading.Event(), ledgers.content_hash

    def held(data: bytes) -> str:
        assert may_hash.wait(HANG_S), "whoever hashes holds up those who could let it go on"
        return content_hash(data)

    monkeypatch.setattr(ledgers, "content_hash", held)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(daemon.get("/v1/log/head", workspace_id=workspace))
        await turns()
        assert (await daemon.get("/v1/daemon/ping")).status == 200
        assert not asked.done()
        may_hash.set()

    ledger = await daemon.kernel.cabinet.load(workspace)
    assert asked.result().json()["state_hash"] == ledger.state_hash()
