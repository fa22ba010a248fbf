"""Who gets in, through which door, and what they may see and do there."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from moduprompt.domain.capsule.commands import WriteCapsule
from moduprompt.domain.run.commands import ReportExited
from moduprompt.domain.session.commands import PromptSession
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.protocol import SYSTEM_WORKSPACE, RunId, WorkspaceId
from moduprompt.server.catalogue import operations_served
from moduprompt.server.connection import HEAD_BYTES_MAX
from moduprompt.storage.hashing import content_hash
from tests.support.served import AGENT, TOKEN, Line, Served, ask, connect, serve_in

CLOSED = [op for op in operations_served() if not op.is_open]
A_REF = f"blake3:{'0' * 64}"


class Family:
    """A parent with a child, and a stranger beside them."""

    def __init__(self, workspace: WorkspaceId, *, parent: Line, child: Line, stranger: Line) -> None:
        self.workspace = workspace
        self.parent = parent
        self.child = child
        self.stranger = stranger


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def family_of(daemon: Served) -> Family:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    parent = await daemon.make_session(workspace, project, name="parent")
    child = await daemon.make_session(workspace, project, name="child", parent=parent.session_id)
    stranger = await daemon.make_session(workspace, project, name="stranger")
    return Family(workspace, parent=parent, child=child, stranger=stranger)


async def end(daemon: Served, workspace: WorkspaceId, line: Line) -> None:
    await daemon.report(ReportExited(workspace_id=workspace, run_id=line.run_id, how="exited", code=0))


async def test_ping_needs_no_token(daemon: Served) -> None:
    reply = await daemon.get("/v1/daemon/ping", token=None)

    assert reply.status == 200
    assert reply.json()["status"] == "ok"
    assert reply.json()["version"] == "1.2.3"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {'x' * 600}"]
)
async def test_every_other_route_does(daemon: Served, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for op in CLOSED:
        path = op.path.replace("{", "").replace("}", "")

        reply = await daemon.ask(op.method.upper(), path, token=None, headers=headers)

        assert (op.path, reply.status, reply.code) == (op.path, 401, "unauthorized")


@pytest.mark.parametrize(
    "token",
    [
        "mprun",
        "mprun.x.y.z",
        f"mprun.{SYSTEM_WORKSPACE}.{SYSTEM_WORKSPACE}.0",
        "mprun...",
        "the-owner's-tokem",
    ],
)
async def test_a_token_of_nobody_is_unauthorized(daemon: Served, token: str) -> None:
    reply = await daemon.ask(
        "GET",
        "/v1/daemon/ready",
        token=None,
        headers={"Authorization": f"Bearer {token}"},
    )

    assert (reply.status, reply.code) == (401, "unauthorized")


async def test_a_changed_run_token_is_unauthorized(daemon: Served) -> None:
    family = await family_of(daemon)
    token = family.child.token
    other_run = token.replace(family.child.run_id, family.stranger.run_id)

    for forged in (token[:-1] + ("0" if token[-1] != "0" else "1"), other_run, token[:-2], token + "0"):
        assert (await daemon.get("/v1/daemon/ready", token=forged)).status == 401
    assert (await daemon.get("/v1/daemon/ready", token=token)).status == 200


async def test_the_socket_is_its_owners_alone(daemon: Served) -> None:
    assert mode_of(daemon.socket) == 0o600


async def test_a_session_reads_its_own_lineage_and_nothing_else(daemon: Served) -> None:
    family = await family_of(daemon)

    async def sessions(line: Line) -> set[str]:
        async with daemon.client(line.token) as client:
            page = await client.read("/v1/sessions", {"workspace_id": family.workspace})
        lines = {"parent": family.parent, "child": family.child, "stranger": family.stranger}
        return {name for name, one in lines.items() if one.session_id.encode() in page}

    assert await sessions(family.parent) == {"parent", "child"}
    assert await sessions(family.child) == {"parent", "child"}
    assert await sessions(family.stranger) == {"stranger"}


@pytest.mark.parametrize("what", ["sessions/{session_id}", "runs/{run_id}", "runs/{run_id}/output"])
async def test_what_is_not_visible_looks_as_if_it_were_not_there(
    daemon: Served, what: str, tmp_path: Path
) -> None:
    family = await family_of(daemon)
    for line in (family.child, family.stranger):
        (tmp_path / line.run_id).write_bytes(b"printed")

    async def status(seen: Line, by: Line) -> int:
        path = what.format(session_id=seen.session_id, run_id=seen.run_id)
        return (await daemon.get(f"/v1/{path}", token=by.token)).status

    assert await status(family.child, family.parent) == 200
    assert await status(family.stranger, family.parent) == 404
    assert await status(family.child, family.stranger) == 404


async def test_a_session_reads_events_of_its_lineage_only(daemon: Served) -> None:
    family = await family_of(daemon)

    reply = await daemon.get("/v1/events", workspace_id=family.workspace, token=family.stranger.token)

    assert family.stranger.session_id.encode() in reply.body
    assert family.parent.session_id.encode() not in reply.body
    assert reply.json()["seq_global"] == daemon.kernel.feed.head(family.workspace)


async def test_a_session_does_not_know_other_workspaces(daemon: Served) -> None:
    family = await family_of(daemon)
    other = await daemon.make_workspace("other")
    token = family.child.token

    for workspace in (other, SYSTEM_WORKSPACE):
        assert (await daemon.get("/v1/events", workspace_id=workspace, token=token)).status == 404
        assert (await daemon.get("/v1/runs", workspace_id=workspace, token=token)).status == 404
    listed = await daemon.get("/v1/workspaces", token=token)
    assert family.workspace.encode() in listed.body
    assert other.encode() not in listed.body
    reply = await daemon.submit(RenameWorkspace(workspace_id=other, name="mine now"), token=token)
    assert (reply.status, reply.code) == (404, "not_found")


async def test_a_session_may_prompt_below_itself_and_not_beside_or_above(daemon: Served) -> None:
    family = await family_of(daemon)

    async def status(by: Line, to: Line) -> int:
        prompt = PromptSession(workspace_id=family.workspace, session_id=to.session_id, prompt="go on")
        return (await daemon.submit(prompt, token=by.token)).status

    assert await status(family.parent, family.child) == 200
    assert await status(family.child, family.parent) == 403
    assert await status(family.stranger, family.child) == 403


@pytest.mark.parametrize("order", ["rename", "create"])
async def test_a_session_never_orders_what_is_the_owners(daemon: Served, order: str) -> None:
    family = await family_of(daemon)
    command = (
        RenameWorkspace(workspace_id=family.workspace, name="mine")
        if order == "rename"
        else CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="mine")
    )

    reply = await daemon.submit(command, token=family.parent.token)

    assert (reply.status, reply.code) == (403, "policy_denied")


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/recovery", "/v1/views"])
async def test_what_is_the_machines_is_for_users(daemon: Served, path: str) -> None:
    family = await family_of(daemon)

    reply = await daemon.ask("GET", path, token=family.parent.token)

    assert (reply.status, reply.code) == (403, "policy_denied")


@pytest.mark.parametrize("path", ["/v1/board", f"/v1/artifacts/{A_REF}/about"])
async def test_what_shows_more_than_a_lineage_is_for_users(daemon: Served, path: str) -> None:
    family = await family_of(daemon)
    query = {"workspace_id": family.workspace}

    reply = await daemon.ask("GET", path, query=query, token=family.parent.token)

    assert (reply.status, reply.code) == (403, "policy_denied")


async def test_a_session_reads_what_its_lineage_wrote_and_no_other_text(daemon: Served) -> None:
    family = await family_of(daemon)
    for line, account in ((family.child, "the child's plan"), (family.stranger, "a stranger's plan")):
        wrote = WriteCapsule(
            workspace_id=family.workspace, session_id=line.session_id, capsule_kind="plan", account=account
        )
        assert (await daemon.submit(wrote, token=line.token)).status == 200

    async def read(text: str, workspace: str = family.workspace) -> tuple[int, bytes]:
        path = f"/v1/artifacts/{content_hash(text.encode())}"
        reply = await daemon.ask("GET", path, query={"workspace_id": workspace}, token=family.parent.token)
        return reply.status, reply.body

    assert await read("the child's plan") == (200, b"the child's plan")
    assert (await read("a stranger's plan"))[0] == 404
    assert (await read("nobody's plan"))[0] == 404
    elsewhere = await daemon.make_workspace("elsewhere")
    assert (await read("the child's plan", elsewhere))[0] == 404


async def test_the_head_of_a_log_is_for_users(daemon: Served) -> None:
    family = await family_of(daemon)
    own = {"workspace_id": family.workspace}

    over_http = await daemon.ask("GET", "/v1/log/head", query=own, token=family.parent.token)

    assert (over_http.status, over_http.json()["code"]) == (403, "policy_denied")


async def test_a_session_is_told_nothing_of_other_workspaces_by_readiness(daemon: Served) -> None:
    family = await family_of(daemon)
    await daemon.make_workspace("elsewhere")

    ready = await daemon.get("/v1/daemon/ready", token=family.parent.token)

    assert b'"workspaces":1,' in ready.body


async def test_a_token_ends_with_its_run(daemon: Served) -> None:
    family = await family_of(daemon)
    await end(daemon, family.workspace, family.child)

    assert (await daemon.get("/v1/daemon/ready", token=family.child.token)).status == 401
    assert (await daemon.get("/v1/daemon/ready", token=family.parent.token)).status == 200


async def test_a_token_outlives_the_daemon(tmp_path: Path) -> None:
    async with serve_in(tmp_path) as daemon:
        family = await family_of(daemon)
        await end(daemon, family.workspace, family.stranger)
    async with serve_in(tmp_path) as daemon:
        assert (await daemon.get("/v1/daemon/ready", token=family.child.token)).status == 200
        assert (await daemon.get("/v1/daemon/ready", token=family.stranger.token)).status == 401


async def test_a_runs_door_takes_that_runs_token_and_no_other(daemon: Served) -> None:
    family = await family_of(daemon)
    door = Path(await daemon.doors.open(family.child.run_id))

    async def status(token: str | None) -> int:
        return (await daemon.ask("GET", "/v1/daemon/ready", token=token, socket=door)).status

    assert mode_of(door) == 0o600
    assert await status(family.child.token) == 200
    assert await status(family.parent.token) == 401
    assert await status(TOKEN) == 401
    assert await status(None) == 401
    assert (await daemon.ask("GET", "/v1/daemon/ping", token=None, socket=door)).status == 200


async def test_a_runs_door_is_made_again_and_taken_away(daemon: Served) -> None:
    family = await family_of(daemon)
    door = Path(await daemon.doors.open(family.child.run_id))

    assert await daemon.doors.open(family.child.run_id) == str(door)
    await daemon.doors.close(family.child.run_id)
    await daemon.doors.close(family.child.run_id)

    with pytest.raises(FileNotFoundError):
        await connect(door)


async def test_what_a_killed_daemon_left_of_doors_is_replaced(daemon: Served) -> None:
    run_id = RunId(AGENT.adapter.rjust(36, "0"))
    door = daemon.doors.path(run_id)
    await daemon.doors.open(run_id)
    precious = door.with_name("not-a-socket.sock")
    precious.write_text("someone's")

    daemon.doors.clear()

    assert not door.exists()
    assert precious.exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Host": "evil.example"}, 401),
        ({"Host": "127.0.0.1.evil.example"}, 401),
        ({"Host": "[::1"}, 401),
        ({"Host": ""}, 401),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost:3000"}, 401),
        ({"Host": "localhost", "Origin": "https://evil.example"}, 401),
        ({"Host": "localhost", "Origin": "null"}, 401),
    ],
)
async def test_on_tcp_only_this_machine_is_named(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with serve_in(tmp_path, listen="127.0.0.1:0") as daemon:
        reply = await ask(daemon.port, "GET", "/v1/daemon/ping", headers=headers)

    assert reply.status == status


async def test_on_tcp_the_token_is_asked_for_too(tmp_path: Path) -> None:
    async with serve_in(tmp_path, listen="127.0.0.1:0") as daemon:
        assert (await ask(daemon.port, "GET", "/v1/daemon/ready", headers={})).status == 401


async def test_a_token_in_another_script_is_unauthorized(daemon: Served) -> None:
    reader, writer = await connect(daemon.socket)
    writer.write("GET /v1/daemon/ready HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tökén\r\n\r\n".encode())

    assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_a_head_without_an_end_is_refused(daemon: Served) -> None:
    reader, writer = await connect(daemon.socket)
    writer.write(b"GET /v1/daemon/ping HTTP/1.1\r\nX: " + b"x" * (2 * HEAD_BYTES_MAX))

    answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_schema"' in answer
    writer.close()


async def test_what_is_no_http_gets_the_error_object(daemon: Served) -> None:
    reader, writer = await connect(daemon.socket)
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")

    answer = await reader.read()

    assert b'"code":"invalid_schema"' in answer
    writer.close()
