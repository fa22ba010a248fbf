"""Reads: pages and cursors, waiting for the view, what is reserved, and what nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec
import pytest

from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.run.commands import ReportExited
from moduprompt.domain.run.view import RunItem, Unanswered
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.kernel import tracks
from moduprompt.kernel.tracks import Stop
from moduprompt.protocol import SYSTEM_WORKSPACE, ArtifactRef, WorkspaceId
from tests.support.deadline import eventually_async
from tests.support.failing_disk import failing_disk
from tests.support.served import QuietTerminals, Served, serve_in

NOBODY = "00000000-0000-7000-8000-00000000dead"
COLLECTIONS = [name for view in VIEWS for name, _ in view.collections]


class Row(msgspec.Struct, frozen=True):
    id: str
    version: int
    name: str = ""


class Rows(msgspec.Struct, frozen=True):
    items: list[Row]
    seq_global: int
    next: str | None = None


class Seq(msgspec.Struct, frozen=True):
    seq_global: int


class Events(msgspec.Struct, frozen=True):
    items: list[Seq]


async def rows(daemon: Served, collection: str, **query: object) -> Rows:
    reply = await daemon.ask("GET", f"/v1/{collection}", query=query)
    assert reply.status == 200, reply.body
    return msgspec.json.decode(reply.body, type=Rows)


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_every_collection_is_there_and_empty_at_first(daemon: Served, collection: str) -> None:
    workspace = await daemon.make_workspace()
    query = {} if collection == "workspaces" else {"workspace_id": workspace}

    found = await rows(daemon, collection, **query)

    assert [each.id for each in found.items] == ([SYSTEM_WORKSPACE, workspace] if not query else [])
    assert found.next is None
    assert (await daemon.get(f"/v1/{collection}/{NOBODY}")).status == 404
    assert (await daemon.get(f"/v1/{collection}/x")).status == 404


@pytest.mark.parametrize("collection", ["workspaces", "projects"])
async def test_pages_lead_through_all_of_it_once(daemon: Served, collection: str) -> None:
    workspace = await daemon.make_workspace()
    for number in range(6):
        await (
            daemon.make_workspace(str(number))
            if collection == "workspaces"
            else daemon.make_project(workspace)
        )
    query: dict[str, object] = {} if collection == "workspaces" else {"workspace_id": workspace}
    everything = [each.id for each in (await rows(daemon, collection, **query)).items]

    seen: list[str] = []
    cursor: dict[str, object] = {}
    while True:
        page = await rows(daemon, collection, limit=2, **query, **cursor)
        assert len(page.items) <= 2
        seen += [each.id for each in page.items]
        if page.next is None:
            break
        cursor = {"cursor": page.next}

    assert seen == everything == sorted(everything)
    assert len(seen) >= 6


async def test_an_item_carries_the_version_that_expected_version_wants(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    (item,) = [each for each in (await rows(daemon, "workspaces")).items if each.id == workspace]

    moved = await daemon.submit(
        RenameWorkspace(workspace_id=workspace, name="new"), expected_version=item.version
    )

    assert moved.status == 200
    one = msgspec.json.decode((await daemon.get(f"/v1/workspaces/{workspace}")).body, type=Row)
    assert (one.version, one.name) == (item.version + 1, "new")


async def test_a_session_hears_nothing_of_workspaces_that_it_may_not_enter(daemon: Served) -> None:
    own, other = await daemon.make_workspace(), await daemon.make_workspace("other")
    line = await daemon.make_session(own, await daemon.make_project(own))
    theirs = await daemon.make_project(other)
    track = next(each for each in daemon.kernel.projector.tracks.all if each.view.name == "projects")
    await daemon.get("/v1/projects", workspace_id=other)
    track.stops[other] = Stop(view="projects", workspace_id=other, seq=3, event_id="e", fault="f")
    await daemon.accepted(RenameWorkspace(workspace_id=other, name="new"))

    replies = [await daemon.get(f"/v1/projects/{id_}", token=line.token) for id_ in (NOBODY, theirs)]

    assert [reply.status for reply in replies] == [404, 404]
    assert not any(other in reply.body.decode() for reply in replies)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/projects", {"limit": "0"}),
        ("/v1/projects", {"limit": "1001"}),
        ("/v1/projects", {"limit": "ten"}),
        ("/v1/projects", {"limit": "²"}),
        ("/v1/projects", {"cursor": "x"}),
        ("/v1/projects", {"cursor": "dd" * 400}),
        ("/v1/projects", {"stale": "yes"}),
        ("/v1/projects", {"as_of": "0"}),
        ("/v1/projects", {"statsu": "open"}),
        ("/v1/workspaces", {}),  # the workspace_id that the test adds: a workspace lies in none
        ("/v1/board", {"as_of": "then"}),
        ("/v1/board", {"projects": "1"}),
        ("/v1/events", {"limit": "1001"}),
        ("/v1/events", {"raw": "yes"}),
        ("/v1/events", {"froom": "1"}),
        ("/v1/log/head", {"seq": "1"}),
    ],
)
async def test_what_nobody_reads_or_understands_is_refused(
    daemon: Served, path: str, query: dict[str, str]
) -> None:
    workspace = await daemon.make_workspace()

    reply = await daemon.ask("GET", path, query={"workspace_id": workspace, **query})

    assert (reply.status, reply.code) == (400, "invalid_schema")


async def test_a_cursor_belongs_to_its_collection(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    for _ in range(2):
        await daemon.make_project(workspace)
    page = await rows(daemon, "projects", workspace_id=workspace, limit=1)

    reply = await daemon.get("/v1/sessions", workspace_id=workspace, cursor=page.next)

    assert (reply.status, reply.code) == (400, "invalid_schema")


async def test_there_is_no_look_up_across_workspaces(daemon: Served) -> None:
    one, other = await daemon.make_workspace("one"), await daemon.make_workspace("other")
    project = await daemon.make_project(one)

    assert (await daemon.get(f"/v1/projects/{project}", workspace_id=one)).status == 200
    assert (await daemon.get(f"/v1/projects/{project}", workspace_id=other)).status == 404
    assert (await daemon.get(f"/v1/projects/{project}")).status == 200


class SlowViews:
    """Holds the projector back until it is let go."""

    def __init__(self, daemon: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()
        store = daemon.kernel.view_store
        apply, wait_for = store.apply, daemon.kernel.projector.wait_for

        async def applied(*args: object, **kwargs: object) -> None:
            await self.gate.wait()
            await apply(*args, **kwargs)  # pyright: ignore[reportArgumentType] - handed on as they came

        async def waited(workspace_id: WorkspaceId, seq: int, *, of: Sequence[str] = ()) -> None:
            self.asked.set()
            await wait_for(workspace_id, seq, of=of)

        monkeypatch.setattr(store, "apply", applied)
        monkeypatch.setattr(daemon.kernel.projector, "wait_for", waited)


@pytest.mark.parametrize("path", ["/v1/workspaces", "/v1/workspaces/{id}", "/v1/board?workspace_id={id}"])
async def test_a_read_waits_for_what_was_durable_when_it_came(
    daemon: Served, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    workspace = await daemon.make_workspace("before")
    assert (await daemon.get("/v1/workspaces")).status == 200
    views = SlowViews(daemon, monkeypatch)
    await daemon.accepted(RenameWorkspace(workspace_id=workspace, name="after"))

    reading = asyncio.create_task(daemon.get(path.format(id=workspace)), name="read")
    await views.asked.wait()
    assert not reading.done()
    views.gate.set()
    reply = await reading

    assert reply.status == 200
    assert b"before" not in reply.body


async def test_stale_ok_does_not_wait(daemon: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await daemon.make_workspace("before")
    await daemon.get("/v1/workspaces")
    views = SlowViews(daemon, monkeypatch)
    await daemon.accepted(RenameWorkspace(workspace_id=workspace, name="after"))

    for path in ("/v1/workspaces", f"/v1/workspaces/{workspace}"):
        assert b"before" in (await daemon.get(path, stale="ok")).body
    assert (await daemon.get("/v1/board", workspace_id=workspace, stale="ok")).status == 200
    views.gate.set()


async def test_a_view_that_stays_behind_makes_reads_unavailable(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = await daemon.make_workspace()
    await daemon.get("/v1/workspaces")
    monkeypatch.setattr(tracks, "WAIT_S", 0.05)
    views = SlowViews(daemon, monkeypatch)
    await daemon.accepted(RenameWorkspace(workspace_id=workspace, name="after"))

    reply = await daemon.get("/v1/runs", workspace_id=workspace)

    assert (reply.status, reply.code) == (503, "unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    views.gate.set()


async def test_a_page_of_events_is_what_follows(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    for name in "abcd":
        await daemon.accepted(RenameWorkspace(workspace_id=workspace, name=name))

    async def seqs(**query: str | int) -> list[int]:
        named = {name.rstrip("_"): value for name, value in query.items()}
        reply = await daemon.ask("GET", "/v1/events", query={"workspace_id": workspace, **named})
        assert reply.json()["seq_global"] == 5
        return [each.seq_global for each in msgspec.json.decode(reply.body, type=Events).items]

    assert await seqs() == [1, 2, 3, 4, 5]
    assert await seqs(from_=3) == [4, 5]
    assert await seqs(from_=1, limit=2) == [2, 3]
    assert await seqs(from_="head") == []
    assert await seqs(types="workspace.created") == [1]


async def test_the_log_head_is_what_a_replay_arrives_at(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    ledger = daemon.kernel.cabinet.get(workspace)

    head = (await daemon.get("/v1/log/head", workspace_id=workspace)).json()

    assert ledger is not None
    assert (head["seq"], head["head_hash"], head["state_hash"]) == (1, ledger.head_hash, ledger.state_hash())


async def test_an_artifact_is_served_as_it_was_kept(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    ref = await daemon.kernel.artifacts.put(workspace, b"\x00bytes")
    ended = ReportExited(
        workspace_id=workspace, run_id=line.run_id, how="exited", code=0, output_bytes=6, recording=ref
    )
    await daemon.report(ended)

    reply = await daemon.get(f"/v1/artifacts/{ref}")

    assert (reply.status, reply.body) == (200, b"\x00bytes")
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("ref", [f"blake3:{'0' * 64}", "blake3:..", f"blake3:{'A' * 64}", "%2e%2e%2fsecret"])
async def test_an_artifact_that_is_none_is_not_found(daemon: Served, ref: str) -> None:
    reply = await daemon.get(f"/v1/artifacts/{ArtifactRef(ref)}")

    assert (reply.status, reply.code) == (404, "not_found")


async def test_a_runs_output_is_served_from_a_byte_on(daemon: Served, tmp_path: Path) -> None:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    path = f"/v1/runs/{line.run_id}/output"

    assert (await daemon.get(path)).status == 404
    (tmp_path / line.run_id).write_bytes(b"0123456789")
    assert (await daemon.get(path)).body == b"0123456789"
    assert (await daemon.get(path, from_=7, workspace_id=workspace)).body == b"789"
    assert (await daemon.get(f"/v1/runs/{line.run_id}/recording")).body == b"0123456789"
    assert (await daemon.get(path, follow="1")).body == b"0123456789"
    assert (await daemon.get(path, follow="yes")).status == 400
    assert (await daemon.get("/v1/runs/x/output")).status == 404


async def test_a_run_whose_keeper_does_not_answer_says_so_as_long_as_that_is_so(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    since = daemon.silences.missed(line.run_id, "it is stopped")

    async with daemon.client() as client:
        (listed,) = await client.list(RunItem, workspace_id=workspace)
        shown = await client.get(RunItem, line.run_id)
        assert listed.unanswered == shown.unanswered == Unanswered(since=since, why="it is stopped")
        ready = await daemon.get("/v1/daemon/ready")
        assert line.run_id in ready.body.decode()

        daemon.silences.heard(line.run_id)
        assert (await client.get(RunItem, line.run_id)).unanswered is None
        assert line.run_id not in (await daemon.get("/v1/daemon/ready")).body.decode()


async def test_live_output_ends_when_the_daemon_does(daemon: Served, tmp_path: Path) -> None:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    terminals = daemon.desk.terminals
    assert isinstance(terminals, QuietTerminals)
    terminals.live_pieces = asyncio.Queue()
    terminals.live_pieces.put_nowait(b"printed")

    async with daemon.client() as client:
        pieces = client.follow_output(line.run_id)
        assert await anext(pieces) == b"printed"
        daemon.desk.draining.set()
        assert [piece async for piece in pieces] == []


async def test_a_recording_that_grows_while_it_is_sent_is_sent_whole(daemon: Served, tmp_path: Path) -> None:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    recording = tmp_path / line.run_id
    recording.write_bytes(b"x" * 3_000_000)

    async with daemon.client() as client:
        pieces = client.run_recording(line.run_id)
        size = len(await anext(pieces))
        with recording.open("ab") as file:
            file.write(b"y" * 1_000_000)
        size += sum([len(piece) async for piece in pieces])

    assert size == 4_000_000


async def test_readiness_and_metrics_count_what_there_is(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    await daemon.make_session(workspace, await daemon.make_project(workspace))

    ready = (await daemon.get("/v1/daemon/ready")).json()
    metrics = (await daemon.get("/v1/metrics")).body.decode()

    assert (ready["status"], ready["workspaces"], ready["live_runs"]) == ("ready", 1, 1)
    assert 'mp_runs{status="requested"} 1\n' in metrics
    assert "hindered" not in ready
    daemon.desk.draining.set()
    assert (await daemon.get("/v1/daemon/ready")).json()["status"] == "draining"


async def test_readiness_says_what_hinders_it_to_users_only(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    daemon.kernel.hindered["disk"] = "takes no writes"

    assert (await daemon.get("/v1/daemon/ready")).json()["hindered"] == {"disk": "takes no writes"}
    assert "hindered" not in (await daemon.get("/v1/daemon/ready", token=line.token)).json()


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/events/", "/v1/runs//output", "/v2/events"])
async def test_what_is_no_route_is_not_found(daemon: Served, path: str) -> None:
    reply = await daemon.get(path)

    assert (reply.status, reply.code) == (404, "not_found")


async def test_another_method_is_refused_with_those_that_are_taken(daemon: Served) -> None:
    reply = await daemon.ask("DELETE", "/v1/events")

    assert reply.status == 405
    assert reply.code == "invalid_schema"
    assert "GET" in reply.headers["allow"]


@pytest.mark.parametrize("says", [apsw.FullError, apsw.ReadOnlyError])
@pytest.mark.parametrize("path", ["/v1/workspaces", "/v1/workspaces/{id}", "/v1/tasks?workspace_id={id}"])
async def test_while_the_disk_takes_no_writes_reads_go_on_and_readiness_says_so(
    tmp_path: Path, path: str, says: type[apsw.Error]
) -> None:
    with failing_disk() as disk:
        async with serve_in(tmp_path) as daemon:
            workspace = await daemon.make_workspace()
            whole = await daemon.get(path.format(id=workspace))
            disk.fails("write", says, on="-wal")
            lost = await daemon.submit(RenameWorkspace(workspace_id=workspace, name="lost"))
            again = await daemon.submit(RenameWorkspace(workspace_id=workspace, name="lost again"))
            meanwhile = await daemon.get(path.format(id=workspace))
            ready = (await daemon.get("/v1/daemon/ready")).json()

            assert [lost.status, again.status] == [503, 503]
            assert all(b'"message":"the disk takes no writes"' in each.body for each in (lost, again))
            assert (meanwhile.status, meanwhile.body) == (200, whole.body)
            assert ready["hindered"] == {"disk": "the disk takes no writes"}

            disk.heal()

            async def is_mended() -> bool:
                return "hindered" not in (await daemon.get("/v1/daemon/ready")).json()

            await eventually_async(is_mended)
            assert (await daemon.get(path.format(id=workspace))).body == whole.body
            assert (await daemon.submit(RenameWorkspace(workspace_id=workspace, name="kept"))).status == 200
