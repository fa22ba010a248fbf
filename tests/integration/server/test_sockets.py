"""Frames on a WebSocket: the same commands, reads and refusals as over HTTP, several subscriptions at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from moduprompt.client import Endpoint, RequestRefused
from moduprompt.client.sockets import Socket, open_socket
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.protocol import SYSTEM_WORKSPACE, Code
from moduprompt.protocol.framing.frames import End, EventFrame
from moduprompt.protocol.framing.stdio import FRAME_BYTES_MAX, FrameReply, decode_reply, to_pushed
from moduprompt.server.streams import frames
from tests.support.served import TOKEN, Served, envelope, serve_in
from tests.support.streams import request

PATIENCE_S = 10.0
WS = "/v1/events/ws"


@asynccontextmanager
async def opened(daemon: Served, token: str = TOKEN) -> AsyncGenerator[Socket]:
    endpoint = Endpoint(token=token, socket=str(daemon.socket))
    socket = await open_socket(endpoint, WS, timeout_s=PATIENCE_S)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield socket
    finally:
        socket.close()


async def reply(socket: Socket) -> FrameReply:
    data = await socket.receive()
    assert data is not None, "the daemon closed the socket"
    return decode_reply(data)


async def ask(socket: Socket, type_: str, payload: object, *, id_: str | None = "r") -> FrameReply:
    await socket.send(request(type_, payload, request_id=id_))  # type: ignore[arg-type]  # also what is no object
    return await reply(socket)


def code_of(frame: FrameReply) -> object:
    assert frame.type == "error", frame
    return msgspec.json.decode(frame.payload, type=dict[str, object])["code"]


def body(frame: FrameReply) -> dict[str, object]:
    return msgspec.json.decode(frame.payload, type=dict[str, object])


async def test_a_command_is_answered_as_over_http_and_its_key_holds_for_both(daemon: Served) -> None:
    command = envelope(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="one"))
    async with opened(daemon) as socket:
        said = await ask(socket, "command.submit", command)

    again = await daemon.ask("POST", "/v1/commands/submit", body=msgspec.json.encode(command))
    assert (said.type, said.request_id) == ("command.submit.response", "r")
    assert bytes(said.payload) == again.body


async def test_a_refused_command_is_an_answer_and_no_command_is_an_error(daemon: Served) -> None:
    command = envelope(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="one"))
    async with opened(daemon) as socket:
        refused = await ask(socket, "command.submit", {**command, "schema_version": 9})
        none = await ask(socket, "command.submit", {**command, "surprise": 1})
        many = await ask(socket, "command.batch", {"commands": [command, command]})

    assert (refused.type, body(refused)["accepted"]) == ("command.submit.response", False)
    assert code_of(none) == "invalid_schema"
    assert len(msgspec.json.decode(many.payload)["answers"]) == 2


async def test_reads_are_those_of_http(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    own = {"workspace_id": workspace}
    async with opened(daemon) as socket:
        for type_, payload, path, query in (
            ("query.projects", own, "/v1/projects", own),
            ("query.projects", {"id": project}, f"/v1/projects/{project}", {}),
            ("query.board", own, "/v1/board", own),
            ("query.events", {**own, "from": 1, "limit": 1}, "/v1/events", {**own, "from": 1, "limit": 1}),
            ("query.log.head", own, "/v1/log/head", own),
        ):
            said = await ask(socket, type_, payload)
            assert said.type == f"{type_}.response", said
            assert bytes(said.payload) == (await daemon.ask("GET", path, query=query)).body


@pytest.mark.parametrize(
    ("type_", "payload", "code"),
    [
        ("query.nothing", {}, "invalid_schema"),
        ("query.projects", {}, "invalid_schema"),
        ("query.projects", {"workspace_id": "x"}, "invalid_schema"),
        ("query.projects", {"id": "../events"}, "not_found"),
        ("query.projects", {"workspace_id": {"a": 1}}, "invalid_schema"),
        ("query.projects", [], "invalid_schema"),
        ("query.events.stream", {}, "invalid_schema"),
        ("query.runs.output", {"id": "x"}, "invalid_schema"),
        ("command.delete", {}, "invalid_schema"),
        ("auth", {}, "invalid_schema"),
        ("auth", {"token": "another"}, "unauthorized"),
        ("events.subscribe", {}, "invalid_schema"),
        ("events.subscribe", {"workspace_id": SYSTEM_WORKSPACE, "limit": 1}, "invalid_schema"),
        ("events.unsubscribe", {}, "invalid_schema"),
    ],
)
async def test_what_is_asked_wrongly_is_an_error_and_the_socket_goes_on(
    daemon: Served, type_: str, payload: object, code: str
) -> None:
    async with opened(daemon) as socket:
        assert code_of(await ask(socket, type_, payload)) == code
        assert (await ask(socket, "auth", {"token": TOKEN})).type == "auth.response"


@pytest.mark.parametrize("data", [b"no json", b"[]", b'{"type":"auth"}', b'"\\ud800"'])
async def test_what_is_no_frame_is_an_error_and_the_socket_goes_on(daemon: Served, data: bytes) -> None:
    async with opened(daemon) as socket:
        await socket.send(data)
        assert code_of(await reply(socket)) == "invalid_schema"
        assert (await ask(socket, "query.daemon.ping", {})).type == "query.daemon.ping.response"


async def test_several_subscriptions_share_a_socket_and_each_says_whose_event_it_is(daemon: Served) -> None:
    one, two = await daemon.make_workspace("one"), await daemon.make_workspace("two")
    async with opened(daemon) as socket:
        for id_, workspace in (("a", one), ("b", two), ("all", one)):
            await socket.send(request("events.subscribe", {"workspace_id": workspace}, request_id=id_))
        await daemon.accepted(RenameWorkspace(workspace_id=one, name="uno"))
        seen: dict[str | None, list[int]] = {}
        while {id_: len(seqs) for id_, seqs in seen.items()} != {"a": 2, "b": 1, "all": 2}:
            said = await reply(socket)
            if said.type == "events.event":
                frame = to_pushed(said)
                assert isinstance(frame, EventFrame)
                seen.setdefault(said.request_id, []).append(frame.seq)

    assert seen == {"a": [1, 2], "b": [1], "all": [1, 2]}


async def test_an_ended_subscription_says_nothing_more_and_its_id_is_free(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    own = {"workspace_id": workspace, "from": 1}
    async with opened(daemon) as socket:
        assert (await ask(socket, "events.subscribe", own, id_="a")).type == "events.subscribe.response"
        assert code_of(await ask(socket, "events.subscribe", own, id_="a")) == "invalid_schema"
        ended = await ask(socket, "events.unsubscribe", {"request_id": "a"})
        assert ended.type == "events.unsubscribe.response"
        await daemon.accepted(RenameWorkspace(workspace_id=workspace, name="later"))
        again = await ask(socket, "events.unsubscribe", {"request_id": "a"})
        assert again.type == "events.unsubscribe.response", "an event of an ended subscription came"
        assert (await ask(socket, "events.subscribe", own, id_="a")).type == "events.subscribe.response"
        assert to_pushed(await reply(socket)).seq == 2  # type: ignore[union-attr]  # an event


async def test_subscriptions_are_bounded(daemon: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "SUBSCRIPTIONS_MAX", 1)
    workspace = await daemon.make_workspace()
    own = {"workspace_id": workspace, "from": "head"}
    async with opened(daemon) as socket:
        await ask(socket, "events.subscribe", own, id_="a")
        assert code_of(await ask(socket, "events.subscribe", own, id_="b")) == "unavailable"


async def test_many_requests_at_once_are_all_answered(daemon: Served) -> None:
    count = 3 * frames.REQUESTS_MAX
    async with opened(daemon) as socket:
        for number in range(count):
            await socket.send(request("query.daemon.ping", {}, request_id=str(number)))
        found = {(await reply(socket)).request_id for _ in range(count)}

    assert found == {str(number) for number in range(count)}


async def test_a_socket_needs_a_token_when_it_is_opened(daemon: Served) -> None:
    with pytest.raises(RequestRefused) as refused:
        async with opened(daemon, "wrong"):
            pass
    assert refused.value.error.code is Code.UNAUTHORIZED


async def test_a_runs_socket_may_what_the_run_may(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    create = envelope(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="mine"))
    async with opened(daemon, line.token) as socket:
        denied = await ask(socket, "command.submit", create)
        assert b"policy_denied" in bytes(denied.payload)
        assert (
            await ask(socket, "query.sessions", {"id": line.session_id})
        ).type == "query.sessions.response"


async def test_a_message_beyond_the_bound_is_refused_and_one_far_beyond_ends_the_socket(
    daemon: Served,
) -> None:
    async with opened(daemon) as socket:
        await socket.send(b" " * (FRAME_BYTES_MAX + 1))
        assert code_of(await reply(socket)) == "invalid_schema"
        await socket.send(b" " * (2 * FRAME_BYTES_MAX + 1))
        assert await socket.receive() is None


async def test_at_shutdown_each_subscription_ends_and_then_the_socket(tmp_path: Path) -> None:
    async with serve_in(tmp_path) as daemon:
        workspace = await daemon.make_workspace()
        endpoint = Endpoint(token=TOKEN, socket=str(daemon.socket))
        socket = await open_socket(endpoint, WS, timeout_s=PATIENCE_S)
        for id_ in ("a", "b"):
            await ask(socket, "events.subscribe", {"workspace_id": workspace, "from": "head"}, id_=id_)
    ends = {said.request_id: to_pushed(said) for said in (await reply(socket), await reply(socket))}

    assert ends == {"a": End(reason="draining"), "b": End(reason="draining")}
    assert await socket.receive() is None
    socket.close()


async def test_a_web_page_opens_no_socket(tmp_path: Path) -> None:
    async with serve_in(tmp_path, listen="127.0.0.1:0") as daemon:
        own = Endpoint(token=TOKEN, addr=f"127.0.0.1:{daemon.port}")
        socket = await open_socket(own, WS, timeout_s=PATIENCE_S)
        assert (await ask(socket, "query.daemon.ping", {})).type == "query.daemon.ping.response"
        socket.close()
        handshake = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Origin": "http://evil.example",
        }
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        head = "".join(f"{name}: {value}\r\n" for name, value in handshake.items())
        writer.write(f"GET {WS} HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\n{head}\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        writer.close()
