"""A daemon as it ships, in a process of its own and with a folder of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from bench.figures import Spent
from bench.rig import FOLDER
from moduprompt.client import Client
from moduprompt.config import DaemonFile
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.protocol import SYSTEM_WORKSPACE, WorkspaceId, decode_event

READY_S: Final = 30.0  # a start takes less than one, but the machine may be busy
LOOK_AGAIN_S: Final = 0.02


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon that answers, with one workspace and one project."""

    socket: str
    token: str
    pid: int
    workspace_id: str
    project_id: str
    report: Path

    def begin_profile(self) -> None:
        """Sample from now on."""
        os.kill(self.pid, signal.SIGUSR2)

    async def end_profile(self) -> tuple[Spent, ...]:
        """What was sampled."""
        os.kill(self.pid, signal.SIGUSR2)
        return msgspec.json.decode(await appears(self.report), type=tuple[Spent, ...])


@asynccontextmanager
async def daemon() -> AsyncGenerator[Served]:
    """A daemon with empty folders, on the disk of the checkout; its end waits for it."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=FOLDER) as folder, TemporaryDirectory(prefix="mp-bench-") as runtime:
        report = Path(folder) / "profile.json"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.sampling", str(report)),
            *("moduprompt.cli.mpd", "start", "--foreground", "--data-dir", folder, "--runtime-dir", runtime),
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            written = await appears(Path(runtime) / "daemon.json")
            yield await _prepared(msgspec.json.decode(written, type=DaemonFile), report)
        finally:
            process.terminate()
            await process.wait()


async def until_there(path: Path) -> None:
    """Wait for a file or a socket that another process makes."""
    async with asyncio.timeout(READY_S):
        while not path.exists():
            await asyncio.sleep(LOOK_AGAIN_S)


async def appears(path: Path) -> bytes:
    """What is in a file as soon as it is there."""
    await until_there(path)
    return path.read_bytes()


async def _prepared(found: DaemonFile, report: Path) -> Served:
    async with Client(token=found.token, socket=found.socket) as client:
        made = await client.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="bench"))
        workspace_id = WorkspaceId(decode_event(made.events[0]).workspace_id)
        project = await client.submit(CreateProject(workspace_id=workspace_id, name="bench"))
    return Served(
        socket=found.socket,
        token=found.token,
        pid=found.pid,
        workspace_id=workspace_id,
        project_id=decode_event(project.events[0]).subject.id,
        report=report,
    )
