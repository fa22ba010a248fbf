"""A log that an earlier version wrote: read, streamed and folded as of today, kept and exported as it is."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from moduprompt.domain.registry import UPCASTERS, Upcasters
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.protocol import EventPage, WorkspaceId, decode_event
from moduprompt.protocol.framing.frames import EventFrame
from moduprompt.storage.bundle import Bundle
from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.old_events import OLDEST, RENAMED_UPCASTERS, add_old_event
from tests.support.served import Served, serve_in
from tests.support.streams import Subscription, follow


class Old(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon on a log whose second event is old."""

    daemon: Served
    workspace: WorkspaceId
    stored: bytes


@pytest.fixture
async def old(tmp_path: Path) -> AsyncGenerator[Old]:
    async with serve_in(tmp_path) as daemon:
        workspace = await daemon.make_workspace("first")
    log = await SqliteLog.open(tmp_path / "log.sqlite")
    stored = await add_old_event(log, workspace, title="second")
    await log.close()
    async with serve_in(tmp_path, upcasters=RENAMED_UPCASTERS) as daemon:
        yield Old(daemon=daemon, workspace=workspace, stored=stored)


def second(page: bytes) -> bytes:
    return bytes(msgspec.json.decode(page, type=EventPage).items[1])


async def test_reads_serve_the_newest_version_and_raw_the_stored_bytes(old: Old) -> None:
    raw = await old.daemon.get("/v1/events", workspace_id=old.workspace, raw=1)
    page = await old.daemon.get("/v1/events", workspace_id=old.workspace)

    assert second(raw.body) == old.stored
    served = decode_event(second(page.body))
    assert served.schema_version == OLDEST + 1
    assert b'"name":"second"' in bytes(served.payload)
    assert served.prev_hash == decode_event(old.stored).prev_hash


async def test_streams_serve_the_newest_version(old: Old) -> None:
    async with follow(
        old.daemon.socket, Subscription(transport="sse", workspace_id=old.workspace, query={"from": 1})
    ) as stream:
        frame = await stream.next()

    assert isinstance(frame, EventFrame)
    assert decode_event(frame.data).schema_version == OLDEST + 1


async def test_state_and_views_are_those_of_today(old: Old) -> None:
    ledger = old.daemon.kernel.cabinet.get(old.workspace)
    own = ledger.find(WorkspaceState, old.workspace) if ledger else None

    assert own is not None
    assert own.name == "second"
    assert (await old.daemon.get(f"/v1/workspaces/{old.workspace}")).json()["name"] == "second"
    await old.daemon.accepted(RenameWorkspace(workspace_id=old.workspace, name="third"))


async def test_an_export_holds_the_stored_bytes_and_is_taken_in_by_who_can_read_them(
    old: Old, tmp_path: Path
) -> None:
    bundle = (await old.daemon.get("/v1/log/export", workspace_id=old.workspace)).body
    assert list(Bundle(io.BytesIO(bundle)).lines())[1] == old.stored

    who_can: dict[str, tuple[Upcasters, int]] = {"new": (RENAMED_UPCASTERS, 200), "none": (UPCASTERS, 422)}
    for name, (upcasters, status) in who_can.items():
        (tmp_path / name).mkdir()
        async with serve_in(tmp_path / name, upcasters=upcasters) as other:
            assert (await other.ask("POST", "/v1/log/import", body=bundle)).status == status
