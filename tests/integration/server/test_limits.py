"""Each limit at its edge, through a real server: what is at the limit works, one over is refused, and after release it works again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import h11
import msgspec
import pytest

from moduprompt.client import Endpoint
from moduprompt.client.sockets import open_socket
from moduprompt.domain.project import decide as project_decide
from moduprompt.domain.project.commands import AttachRepository
from moduprompt.domain.session import decide as session_decide
from moduprompt.domain.session import prompting as session_prompting
from moduprompt.domain.session import width as session_width
from moduprompt.domain.session.commands import PromptSession, SpawnSession
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.kernel import inbox, writer
from moduprompt.protocol import (
    COMMAND_BYTES_MAX,
    HTTP_STATUS,
    NAME_MAX,
    RETRY_AFTER_S,
    SYSTEM_WORKSPACE,
    Code,
    WorkspaceId,
    encode,
)
from moduprompt.protocol.framing.stdio import FRAME_BYTES_MAX, decode_reply
from moduprompt.server import connection
from moduprompt.server.limits import LIMITS, Limit
from moduprompt.server.routes import bundles, commands
from moduprompt.server.routes.commands import BATCH_BYTES_MAX
from moduprompt.server.streams import frames
from tests.support.deadline import eventually_async
from tests.support.scraping import scrape, value
from tests.support.served import AGENT, TOKEN, Reply, Served, connect, envelope, read_reply
from tests.support.streams import request

PATIENCE_S: Final = 20.0
SOON_S: Final = 0.05


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal, however it came."""

    code: str
    details: dict[str, Any]
    retry_after: str | None = None


def told(reply: Reply) -> Told:
    """The refusal in an HTTP answer, whose status must be its code's."""
    body = msgspec.json.decode(reply.body)
    error = body.get("rejection", body)
    assert reply.status == HTTP_STATUS[Code(error["code"])]
    return Told(code=error["code"], details=error["details"], retry_after=reply.headers.get("retry-after"))


def told_in_frame(data: bytes | None) -> Told:
    assert data is not None, "the daemon closed the socket"
    frame = decode_reply(data)
    assert frame.type == "error", frame
    error = msgspec.json.decode(frame.payload)
    return Told(code=error["code"], details=error["details"])


Edge = Callable[[Served, pytest.MonkeyPatch], Awaitable[Told]]


def held(owner: object, name: str, patch: pytest.MonkeyPatch) -> asyncio.Event:
    """Whoever calls this method from now on waits for the event."""
    released, original = asyncio.Event(), getattr(owner, name)

    async def waiting(*args: Any, **how: Any) -> Any:
        await released.wait()
        return await original(*args, **how)

    patch.setattr(owner, name, waiting)
    return released


def rename(workspace: WorkspaceId, name: str = "new") -> RenameWorkspace:
    return RenameWorkspace(workspace_id=workspace, name=name)


async def beyond_the_inbox(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    patch.setattr(inbox, "INBOX_MAX", 2)
    patch.setattr(writer, "BATCH_MAX", 1)
    released = held(daemon.kernel._log, "append", patch)  # pyright: ignore[reportPrivateUsage] - nothing else holds the writer up
    taken: list[asyncio.Task[Reply]] = []

    async def is_taken() -> bool:
        return daemon.kernel.pulse().waiting == len(taken)

    while daemon.kernel.waiting() < 2:
        taken.append(asyncio.create_task(daemon.submit(rename(workspace, f"name {len(taken)}"))))
        await eventually_async(is_taken)
    refused = told(await daemon.submit(rename(workspace)))
    released.set()
    assert {reply.status for reply in await asyncio.gather(*taken)} == {200}, "what was taken is answered"
    assert (await daemon.submit(rename(workspace))).status == 200
    return refused


async def beyond_the_reads(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    patch.setattr(daemon.desk.reads, "most", 2)
    with patch.context() as own:
        released = held(daemon.kernel, "look", own)
        reading = [asyncio.create_task(daemon.get("/v1/events", workspace_id=workspace)) for _ in range(2)]
        await eventually_async(lambda: is_at(daemon.desk.reads, 2))
        refused = told(await daemon.get("/v1/events", workspace_id=workspace))
        released.set()
        assert [reply.status for reply in await asyncio.gather(*reading)] == [200, 200]
    assert (await daemon.get("/v1/events", workspace_id=workspace)).status == 200
    return refused


async def is_at(seats: Any, number: int) -> bool:
    return seats.taken == number


@asynccontextmanager
async def streaming(
    daemon: Served, workspace: WorkspaceId, token: str = TOKEN
) -> AsyncGenerator[tuple[asyncio.StreamReader, bytes]]:
    """A subscription over HTTP; gives its status line."""
    reader, writing = await connect(daemon.socket)
    try:
        writing.write(head_of(f"/v1/events/stream?workspace_id={workspace}", token=token))
        yield reader, await reader.readline()
    finally:
        writing.close()


def head_of(target: str, *, token: str = TOKEN, method: str = "GET", more: str = "") -> bytes:
    lines = (f"{method} {target} HTTP/1.1", "host: localhost", f"authorization: Bearer {token}")
    return "".join(f"{line}\r\n" for line in (*lines, *more.splitlines(), "")).encode()


async def beyond_the_streams(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    patch.setattr(daemon.desk.streams, "most", 2)
    async with streaming(daemon, workspace) as (_, first), streaming(daemon, workspace) as (_, second):
        assert (first.split()[1], second.split()[1]) == (b"200", b"200")
        refused = told(await daemon.get("/v1/events/stream", workspace_id=workspace))
    await eventually_async(lambda: is_at(daemon.desk.streams, 0))
    async with streaming(daemon, workspace) as (_, again):
        assert again.split()[1] == b"200"
    return refused


async def beyond_a_sessions_streams(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    patch.setattr(daemon.desk.streams, "_of_session", 1)
    async with streaming(daemon, workspace, line.token) as (_, first):
        assert first.split()[1] == b"200"
        refused = told(await daemon.get("/v1/events/stream", workspace_id=workspace, token=line.token))
        async with streaming(daemon, workspace) as (_, owners):
            assert owners.split()[1] == b"200", "the others are not held up"
    await eventually_async(lambda: is_at(daemon.desk.streams, 0))
    async with streaming(daemon, workspace, line.token) as (_, again):
        assert again.split()[1] == b"200"
    return refused


async def beyond_a_connections_subscriptions(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    patch.setattr(frames, "SUBSCRIPTIONS_MAX", 2)
    socket = await open_socket(
        Endpoint(token=TOKEN, socket=str(daemon.socket)), "/v1/events/ws", timeout_s=PATIENCE_S
    )
    subscribe = {"workspace_id": workspace, "from": "head"}
    try:
        for id_ in ("a", "b"):
            await socket.send(request("events.subscribe", subscribe, request_id=id_))
            assert b"events.subscribe.response" in (await socket.receive() or b"")
        await socket.send(request("events.subscribe", subscribe, request_id="c"))
        refused = told_in_frame(await socket.receive())
        await socket.send(request("events.unsubscribe", {"request_id": "a"}, request_id="u"))
        assert b"events.unsubscribe.response" in (await socket.receive() or b"")
        await socket.send(request("events.subscribe", subscribe, request_id="c"))
        assert b"events.subscribe.response" in (await socket.receive() or b"")
    finally:
        socket.close()
    return refused


async def beyond_the_transfers(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    patch.setattr(daemon.desk.transfers, "most", 1)
    with patch.context() as own:
        released = held(daemon.kernel.transfer, "export", own)
        exporting = asyncio.create_task(daemon.get("/v1/log/export", workspace_id=workspace))
        await eventually_async(lambda: is_at(daemon.desk.transfers, 1))
        refused = told(await daemon.get("/v1/log/export", workspace_id=workspace))
        released.set()
        assert (await exporting).status == 200
    await eventually_async(lambda: is_at(daemon.desk.transfers, 0))
    assert (await daemon.get("/v1/log/export", workspace_id=workspace)).status == 200
    return refused


async def pinged(reader: asyncio.StreamReader, writing: asyncio.StreamWriter) -> Reply:
    writing.write(head_of("/v1/daemon/ping"))
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    return await read_reply(reader, http)


async def beyond_the_connections(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    async def is_empty() -> bool:
        return daemon.desk.turnstile.inside == 0

    await eventually_async(is_empty)
    patch.setattr(daemon.desk.turnstile, "most", 2)
    first, second = await connect(daemon.socket), await connect(daemon.socket)
    assert (await pinged(*first)).status == (await pinged(*second)).status == 200
    third = await connect(daemon.socket)
    refused = told(await pinged(*third))
    assert await third[0].read() == b"", "who is refused is hung up on"
    for _, writing in (first, second, third):
        writing.close()
    await eventually_async(is_empty)
    assert (await daemon.get("/v1/daemon/ping")).status == 200
    return refused


async def beyond_a_runs_connections(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    patch.setattr(connection, "CONNECTIONS_OF_RUN_MAX", 1)
    await daemon.doors.open(line.run_id)
    own = await connect(daemon.doors.path(line.run_id))
    assert (await pinged(*own)).status == 200
    other = await connect(daemon.doors.path(line.run_id))
    refused = told(await pinged(*other))
    assert (await daemon.get("/v1/daemon/ping")).status == 200, "the owner is not held up"
    for _, writing in (own, other):
        writing.close()

    async def is_free() -> bool:
        again = await connect(daemon.doors.path(line.run_id))
        try:
            return (await pinged(*again)).status == 200
        finally:
            again[1].close()

    await eventually_async(is_free)
    return refused


async def slowly(daemon: Served, sent: bytes) -> Told:
    """A client that begins and does not go on; it must be told, and hung up on."""
    reader, writing = await connect(daemon.socket)
    writing.write(sent)
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    refused = told(await read_reply(reader, http))
    assert await reader.read() == b""
    writing.close()
    return refused


async def beyond_the_time_for_a_head(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    patch.setattr(connection, "HEAD_S", SOON_S)
    assert (await daemon.get("/v1/daemon/ping")).status == 200
    assert (await slowly(daemon, b"")).details["limit"] == "head_time", "who says nothing at all holds it too"
    return await slowly(daemon, b"GET /v1/daemon/ping HTTP/1.1\r\nx: ")


async def beyond_the_time_for_a_body(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    patch.setattr(connection, "BODY_S", SOON_S)
    assert (await daemon.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="x"))).status == 200
    begun = head_of("/v1/commands/submit", method="POST", more="content-length: 9\n")
    return await slowly(daemon, begun + b"{")


async def beyond_a_readers_patience(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    recording = daemon.socket.parent / line.run_id
    recording.write_bytes(b"x" * 8 * 1024 * 1024)
    path = f"/v1/runs/{line.run_id}/recording"
    assert len((await daemon.get(path)).body) == 8 * 1024 * 1024
    patch.setattr(connection, "STALL_S", SOON_S)
    _, writing = await connect(daemon.socket)
    writing.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
    writing.write(head_of(path))

    async def is_cut() -> bool:
        return daemon.kernel.meters.refused["reader_stall"] > 0

    await eventually_async(is_cut)
    writing.transport.abort()
    assert (await daemon.get("/v1/daemon/ping")).status == 200
    return Told(code="cut", details={"limit": "reader_stall"})


async def beyond_a_head(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    fits = {"x": "x" * (connection.HEAD_BYTES_MAX - 1_000)}
    assert (await daemon.ask("GET", "/v1/daemon/ping", headers=fits)).status == 200
    return await slowly(daemon, b"GET / HTTP/1.1\r\nx: " + b"x" * connection.HEAD_BYTES_MAX)


async def beyond_a_body(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    path = "/v1/commands/submit"
    fits = await daemon.ask("POST", path, body=b" " * COMMAND_BYTES_MAX)
    assert "limit" not in told(fits).details
    return told(await daemon.ask("POST", path, body=b" " * (COMMAND_BYTES_MAX + 1)))


async def beyond_a_batchs_bytes(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    path = "/v1/commands/batch"
    fits = await daemon.ask("POST", path, body=b" " * BATCH_BYTES_MAX)
    assert "limit" not in told(fits).details
    return told(await daemon.ask("POST", path, body=b" " * (BATCH_BYTES_MAX + 1)))


async def beyond_a_batch(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    patch.setattr(commands, "BATCH_MAX", 2)

    async def batch(number: int) -> Reply:
        each = [
            envelope(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name=f"w{number} {i}"))
            for i in range(number)
        ]
        return await daemon.ask("POST", "/v1/commands/batch", body=encode({"commands": each}))

    assert (await batch(2)).status == 200
    refused = told(await batch(3))
    assert (await batch(2)).status == 200
    return refused


async def beyond_a_bundle(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    patch.setattr(bundles, "BUNDLE_BYTES_MAX", 1_000)
    path = "/v1/log/import"
    assert "limit" not in told(await daemon.ask("POST", path, body=b"x" * 1_000)).details
    return told(await daemon.ask("POST", path, body=b"x" * 1_001))


async def beyond_a_frame(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    socket = await open_socket(
        Endpoint(token=TOKEN, socket=str(daemon.socket)), "/v1/events/ws", timeout_s=PATIENCE_S
    )
    try:
        await socket.send(b" " * FRAME_BYTES_MAX)
        assert "limit" not in told_in_frame(await socket.receive()).details
        await socket.send(b" " * (FRAME_BYTES_MAX + 1))
        return told_in_frame(await socket.receive())
    finally:
        socket.close()


async def beyond_a_field(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    assert (await daemon.submit(rename(workspace, "x" * NAME_MAX))).status == 200
    return told(await daemon.submit(rename(workspace, "x" * (NAME_MAX + 1))))


async def beyond_a_page(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    for path in ("/v1/events", "/v1/projects"):
        assert (await daemon.get(path, workspace_id=workspace, limit=1_000)).status == 200
    assert told(await daemon.get("/v1/projects", workspace_id=workspace, limit=1_001)).details["limit"]
    return told(await daemon.get("/v1/events", workspace_id=workspace, limit=1_001))


async def beyond_a_filter(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    assert (
        await daemon.get("/v1/events", workspace_id=workspace, types=",".join(["task.*"] * 64))
    ).status == 200
    return told(await daemon.get("/v1/events", workspace_id=workspace, types=",".join(["task.*"] * 65)))


async def beyond_a_search(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    assert (await daemon.get("/v1/search", workspace_id=workspace, q="x" * 200)).status == 200
    return told(await daemon.get("/v1/search", workspace_id=workspace, q="x" * 201))


async def beyond_a_prompt_queue(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    patch.setattr(session_prompting, "PROMPTS_MAX", 1)
    prompt = PromptSession(workspace_id=workspace, session_id=line.session_id, prompt="go on")
    assert (await daemon.submit(prompt)).status == 200
    return told(await daemon.submit(prompt))


async def beyond_a_lineage(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    parent = await daemon.make_session(workspace, project)
    child = await daemon.make_session(workspace, project, name="child", parent=parent.session_id)
    patch.setattr(session_decide, "DEPTH_MAX", 2)
    spawn = SpawnSession(
        workspace_id=workspace,
        project_id=project,
        name="grandchild",
        agent=AGENT,
        parent_session_id=child.session_id,
        place="none",
    )
    return told(await daemon.submit(spawn))


async def beyond_a_width(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    parent = await daemon.make_session(workspace, project)
    patch.setattr(session_width, "WIDTH_MAX", 1)
    await daemon.make_session(workspace, project, name="child", parent=parent.session_id)
    spawn = SpawnSession(
        workspace_id=workspace,
        project_id=project,
        name="second child",
        agent=AGENT,
        parent_session_id=parent.session_id,
        place="none",
    )
    return told(await daemon.submit(spawn))


async def beyond_a_projects_repositories(daemon: Served, patch: pytest.MonkeyPatch) -> Told:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    patch.setattr(project_decide, "REPOSITORIES_MAX", 1)
    attach = AttachRepository(workspace_id=workspace, project_id=project, repository="/one")
    assert (await daemon.submit(attach)).status == 200
    return told(await daemon.submit(msgspec.structs.replace(attach, repository="/two")))


EDGES: Final[Mapping[str, Edge]] = {
    "inbox": beyond_the_inbox,
    "reads": beyond_the_reads,
    "streams": beyond_the_streams,
    "streams_of_session": beyond_a_sessions_streams,
    "subscriptions": beyond_a_connections_subscriptions,
    "transfers": beyond_the_transfers,
    "connections": beyond_the_connections,
    "connections_of_run": beyond_a_runs_connections,
    "head_time": beyond_the_time_for_a_head,
    "body_time": beyond_the_time_for_a_body,
    "reader_stall": beyond_a_readers_patience,
    "head_bytes": beyond_a_head,
    "body_bytes": beyond_a_body,
    "batch_bytes": beyond_a_batchs_bytes,
    "batch": beyond_a_batch,
    "bundle_bytes": beyond_a_bundle,
    "frame_bytes": beyond_a_frame,
    "field_length": beyond_a_field,
    "page": beyond_a_page,
    "patterns": beyond_a_filter,
    "query": beyond_a_search,
    "prompt_queue_full": beyond_a_prompt_queue,
    "lineage_too_deep": beyond_a_lineage,
    "lineage_too_wide": beyond_a_width,
    "too_many_repositories": beyond_a_projects_repositories,
}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
async def test_at_the_limit_it_works_and_one_over_is_refused_by_name_and_counted(
    daemon: Served, monkeypatch: pytest.MonkeyPatch, limit: Limit
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        refused = await EDGES[limit.name](daemon, monkeypatch)

    assert refused.code == limit.told
    assert refused.details["reason" if limit.is_rule else "limit"] == limit.name
    monkeypatch.undo()
    assert value(await scrape(daemon), "mp_refused_total", limit.name) >= 1
    if limit.told is Code.UNAVAILABLE:
        assert refused.details["retry_after_s"] == RETRY_AFTER_S
        assert refused.retry_after in (str(RETRY_AFTER_S), None if limit.name == "subscriptions" else "")


async def test_a_bundle_may_be_larger_than_any_other_body(daemon: Served) -> None:
    reply = await daemon.ask("POST", "/v1/log/import", body=b"x" * (65 * 1024 * 1024))

    assert "limit" not in told(reply).details
