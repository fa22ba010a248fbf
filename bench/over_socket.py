"""One command a request over the Unix socket, against the same HTTP stack answering with no work.

The load comes from another process, so that the client's cost is not the server's; it
has the other core, as a real client would.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from bench.figures import Figure, Scale, in_turns
from bench.load import Load, Told
from moduprompt.client import Client
from moduprompt.config import DaemonFile
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.protocol import SYSTEM_WORKSPACE, WorkspaceId, decode_event

CLIENTS = 64
EACH = 60
READY_S = 30.0


async def over_socket(scale: Scale) -> list[Figure]:
    """Sixty-four clients at once, and one at a time for the latency."""
    each = scale.of(EACH, quick=2)
    async with daemon(each) as load, _noop(each) as noop:
        ours, theirs = await in_turns(lambda: _rate(load), lambda: _rate(noop), rounds=scale.rounds)
        calm = msgspec.structs.replace(load, clients=8, each=scale.of(100, quick=5), per_s=ours / 5)
        told = await loaded(calm)
    return [
        Figure(
            name=f"{CLIENTS} clients over the socket, one command a request",
            unit="requests/s",
            value=ours,
            yardstick_name="the same HTTP stack answering with no work",
            yardstick=theirs,
            goal="ratio >= 0.4",
        ),
        Figure(name="latency at a fifth of that, median", unit="ms", value=told.p50_ms, goal="< 3 ms"),
        Figure(name="latency at a fifth of that, 99 of 100", unit="ms", value=told.p99_ms, goal="< 15 ms"),
    ]


async def _rate(load: Load) -> float:
    return (await loaded(load)).per_s


async def loaded(load: Load) -> Told:
    """What a process that sends this load saw."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(msgspec.json.encode(load))
    return msgspec.json.decode(said, type=Told)


@asynccontextmanager
async def daemon(each: int) -> AsyncGenerator[Load]:
    """A daemon as it ships, and a load for it."""
    with TemporaryDirectory(prefix="mp-bench-") as folder:
        words = ("-m", "moduprompt.cli.mpd", "start", "--foreground", "--data-dir", folder)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, "--runtime-dir", f"{folder}/run", stderr=asyncio.subprocess.DEVNULL
        )
        try:
            written = await _appears(Path(folder) / "run" / "daemon.json")
            daemon = msgspec.json.decode(written, type=DaemonFile)
            yield await _prepared(daemon, each)
        finally:
            process.terminate()
            await process.wait()


async def _prepared(daemon: DaemonFile, each: int) -> Load:
    async with Client(token=daemon.token, socket=daemon.socket) as client:
        made = await client.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="bench"))
        workspace_id = WorkspaceId(decode_event(made.events[0]).workspace_id)
        project = await client.submit(CreateProject(workspace_id=workspace_id, name="bench"))
    return Load(
        socket=daemon.socket,
        token=daemon.token,
        workspace_id=workspace_id,
        project_id=decode_event(project.events[0]).subject.id,
        clients=CLIENTS,
        each=each,
    )


@asynccontextmanager
async def _noop(each: int) -> AsyncGenerator[Load]:
    with TemporaryDirectory(prefix="mp-bench-") as folder:
        socket = Path(folder) / "noop.sock"
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.noop", str(socket))
        try:
            async with asyncio.timeout(READY_S):
                while not socket.exists():
                    await asyncio.sleep(0.02)
            yield Load(
                socket=str(socket), token="", workspace_id="w", project_id="p", clients=CLIENTS, each=each
            )
        finally:
            process.terminate()
            await process.wait()


async def _appears(path: Path) -> bytes:
    async with asyncio.timeout(READY_S):
        while not path.exists():
            await asyncio.sleep(0.02)
    return path.read_bytes()
