"""Read models as such: how they stand, who may ask, and a rebuild over HTTP."""

from __future__ import annotations

from pathlib import Path

import msgspec

from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.protocol import ViewReport, ViewReports
from tests.support.deadline import eventually_async
from tests.support.served import Served, serve_in


async def reports(daemon: Served) -> dict[str, ViewReport]:
    reply = await daemon.get("/v1/views")
    assert reply.status == 200
    return {each.name: each for each in msgspec.json.decode(reply.body, type=ViewReports).items}


async def test_every_view_says_how_it_stands(daemon: Served) -> None:
    workspace = await daemon.make_workspace("one")
    await daemon.accepted(RenameWorkspace(workspace_id=workspace, name="two"))
    assert (await daemon.get(f"/v1/workspaces/{workspace}")).status == 200

    found = await reports(daemon)

    assert {"workspaces", "tasks", "board"} <= set(found)
    mine = found["workspaces"]
    assert (mine.state, mine.rows, mine.position, mine.head, mine.stops) == ("live", 2, 4, 4, ())


async def test_a_rebuild_is_asked_for_and_ends_with_the_same_rows(daemon: Served) -> None:
    workspace = await daemon.make_workspace("one")
    before = (await daemon.get(f"/v1/workspaces/{workspace}")).body

    reply = await daemon.ask("POST", "/v1/views/workspaces/rebuild")
    assert reply.status == 200
    assert msgspec.json.decode(reply.body, type=ViewReport).name == "workspaces"

    async def is_ready() -> bool:
        return (await reports(daemon))["workspaces"].state == "live"

    await eventually_async(is_ready)
    assert (await daemon.get(f"/v1/workspaces/{workspace}")).body == before


async def test_what_is_no_view_is_not_found(daemon: Served) -> None:
    reply = await daemon.ask("POST", "/v1/views/nothing/rebuild")

    assert (reply.status, reply.code) == (404, "not_found")


async def test_a_damaged_file_is_set_aside_and_made_again(tmp_path: Path) -> None:
    async with serve_in(tmp_path) as daemon:
        workspace = await daemon.make_workspace("kept")
        assert (await daemon.get(f"/v1/workspaces/{workspace}")).status == 200
    path = tmp_path / "views.sqlite"
    path.write_bytes(b"not what it was " * 512)

    async with serve_in(tmp_path) as daemon:
        assert b"kept" in (await daemon.get(f"/v1/workspaces/{workspace}")).body
        assert path.with_name("views.sqlite.damaged").exists()


async def test_a_deleted_file_is_made_again(tmp_path: Path) -> None:
    async with serve_in(tmp_path) as daemon:
        workspace = await daemon.make_workspace("kept")
    for name in ("views.sqlite", "views.sqlite-wal", "views.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)

    async with serve_in(tmp_path) as daemon:
        assert b"kept" in (await daemon.get(f"/v1/workspaces/{workspace}")).body
