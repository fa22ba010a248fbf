"""Signals, crashes and hand-overs: runs go on, and whoever comes next finds them."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import msgspec
import pytest

from moduprompt.client import Client, RequestRefused, first_event
from moduprompt.config import run_socket_name
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.project.events import ProjectCreated
from moduprompt.domain.run.events import RunRequested
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import AgentSpec, PromptSession, SpawnSession
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.protocol import SYSTEM_WORKSPACE, RunId, SessionId, WorkspaceId
from tests.support.daemon_process import Place, daemon_at, place_in, spawn
from tests.support.deadline import eventually_async

# Says where it may speak, with what, and waits for one line.
ASKS = AgentSpec(
    adapter="command",
    argv=("/bin/sh", "-c", 'echo "at $MP_SOCKET with $MP_TOKEN"; read answer; echo "heard $answer"'),
)
STUCK = "Kernel.start = lambda *_, **__: (log.info('stuck'), asyncio.Event().wait())[1]"
PATCH_STUCK = f"import asyncio\nfrom moduprompt.daemon.building import Kernel\nfrom moduprompt.daemon.serving import log\n{STUCK}"


class Working(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose program waits for an answer."""

    workspace_id: WorkspaceId
    session_id: SessionId
    run_id: RunId
    pid: int


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return place_in(tmp_path)


async def start_working(client: Client) -> Working:
    made = await client.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="w"))
    workspace = first_event(made, WorkspaceCreated).workspace_id
    project = first_event(
        await client.submit(CreateProject(workspace_id=workspace, name="p")), ProjectCreated
    ).project_id
    spawned = first_event(
        await client.submit(
            SpawnSession(workspace_id=workspace, project_id=project, name="s", agent=ASKS, place="none")
        ),
        RunRequested,
    )
    run = await seen(client, spawned.run_id, "waiting_input")
    assert run.pid is not None
    return Working(workspace_id=workspace, session_id=spawned.session_id, run_id=spawned.run_id, pid=run.pid)


async def seen(client: Client, run_id: RunId, observed: str) -> RunItem:
    """The run, once it is seen doing this."""
    found: list[RunItem] = []

    async def is_seen() -> bool:
        found.append(await client.get(RunItem, run_id))
        return found[-1].observed == observed

    await eventually_async(is_seen, within_s=20)
    return found[-1]


async def answer(client: Client, working: Working) -> RunItem:
    """Answer its question and see it end."""
    await client.submit(
        PromptSession(workspace_id=working.workspace_id, session_id=working.session_id, prompt="forty-two")
    )
    return await seen(client, working.run_id, "exited")


async def printed(client: Client, run_id: RunId) -> str:
    return b"".join([piece async for piece in client.run_output(run_id)]).decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_run_outlives_its_daemon_and_the_next_one_finds_it(
    place: Place, number: signal.Signals
) -> None:
    with daemon_at(place) as daemon:
        async with place.client() as client:
            working = await start_working(client)
        ended = daemon.stop(number)
    os.kill(working.pid, 0)  # the program lives
    assert ended.status == (-number if number is signal.SIGKILL else 0)

    with daemon_at(place):
        async with place.client() as client:
            run = await answer(client, working)
            assert (run.how, run.code, run.pid) == ("exited", 0, working.pid)
            assert "heard forty-two" in await printed(client, working.run_id)


async def test_a_run_speaks_through_its_own_door_before_and_after_a_crash(place: Place) -> None:
    door = place.config.run_sockets_dir
    with daemon_at(place) as daemon:
        async with place.client() as client:
            working = await start_working(client)
            path, token = await where_it_speaks(client, working.run_id)
            assert path == door / run_socket_name(working.run_id)
            assert await may_speak(path, token)
            assert not await may_speak(path, place.daemon_file().token)
        said = daemon.stop(signal.SIGKILL).said

    with daemon_at(place) as daemon:
        assert await may_speak(path, token)
        async with place.client() as client:
            await answer(client, working)
        await eventually_async(is_gone(path))
        said += daemon.stop().said

    assert list(door.iterdir()) == []
    assert token not in said


async def where_it_speaks(client: Client, run_id: RunId) -> tuple[Path, str]:
    _, _, line = (await printed(client, run_id)).partition("at ")
    path, _, token = line.split("\r\n")[0].partition(" with ")
    return Path(path), token


async def may_speak(path: Path, token: str) -> bool:
    async with Client(socket=str(path), token=token) as client:
        try:
            await client.ready()
        except RequestRefused:
            return False
        return True


def is_gone(path: Path):
    async def holds() -> bool:
        return not path.exists()  # noqa: ASYNC240 - one look

    return holds


def test_a_second_signal_changes_nothing(place: Place) -> None:
    with daemon_at(place) as daemon:
        daemon.process.send_signal(signal.SIGTERM)
        ended = daemon.stop(signal.SIGTERM)

    assert ended.status == 0
    assert "Traceback" not in ended.said
    assert not place.config.socket.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_ends_it_cleanly(place: Place, number: signal.Signals) -> None:
    daemon = spawn(place, patch=PATCH_STUCK)
    daemon.await_words("stuck")
    ended = daemon.stop(number)

    assert ended.status == 0
    assert "daemon.ready" not in ended.said
    assert "Traceback" not in ended.said
    assert not place.config.socket.exists()
    assert not place.config.daemon_file.exists()
    with daemon_at(place) as daemon:
        assert daemon.stop().status == 0


def test_a_stream_that_is_open_does_not_hold_up_the_end(place: Place) -> None:
    with daemon_at(place) as daemon, socket.socket(socket.AF_UNIX) as reader:
        reader.connect(str(place.config.socket))
        token = place.daemon_file().token
        path = f"/v1/events/stream-ndjson?workspace_id={SYSTEM_WORKSPACE}"
        reader.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        received = reader.recv(65_536)
        assert daemon.stop().status == 0
        while piece := reader.recv(65_536):
            received += piece

    assert b'{"end":"draining"}' in received


def test_a_successor_waits_for_a_daemon_that_is_going(place: Place) -> None:
    with daemon_at(place) as daemon, socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(place.config.socket))
        token = place.daemon_file().token
        head = f"POST /v1/commands/submit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        slow.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())  # and never the rest
        daemon.process.send_signal(signal.SIGTERM)
        daemon.await_words("daemon.stopping")

        with daemon_at(place) as successor:
            assert daemon.ended().status == 0
            assert place.daemon_file().pid == successor.process.pid


def test_a_kernel_whose_writer_is_gone_ends_the_daemon(place: Place) -> None:
    patch = (
        "import asyncio\nfrom moduprompt.kernel.writer import Writer\n"
        "async def run(self): raise RuntimeError('the writer broke')\n"
        "Writer.run = run"
    )
    ended = spawn(place, patch=patch).ended()

    assert ended.status == 1
    assert "error: the kernel's writer has ended\nhint: " in ended.said
    assert not place.config.socket.exists()
