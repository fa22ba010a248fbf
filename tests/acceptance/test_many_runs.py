"""Two hundred live runs that print, while the daemon is killed, and replaced by a newer build."""

import asyncio
import hashlib
import json
import re
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

import moduprompt
from moduprompt.client import Client, Endpoint, Loss, RequestRefused, Unreachable, to_envelope
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import AgentSpec, SpawnSession
from moduprompt.protocol import ProjectId, RunId, WorkspaceId
from tests.support.daemon import Place, is_alive
from tests.support.deadline import eventually_async
from tests.support.git_repository import Repository

RUNS = 200
FOLLOWED = 5  # by clients that must neither miss nor repeat a byte
PRINTS = (
    "import os, sys, time\nn = 0\n"
    "while not os.path.exists(sys.argv[1]):\n    n += 1; print('line', n, flush=True); time.sleep(0.5)\n"
    "print('total', n, flush=True)"
)
NEWER = "99.0.0"


def newer_build(place: Place) -> dict[str, str]:
    """The environment in which the installed commands are of a later version."""
    newer = place.root / "newer"
    shutil.copytree(
        Path(moduprompt.__file__).parent, newer / "moduprompt", ignore=shutil.ignore_patterns("*.pyc")
    )
    version = newer / "moduprompt" / "__init__.py"
    version.write_text(re.sub(r'__version__ = "[^"]+"', f'__version__ = "{NEWER}"', version.read_text()))
    return {"PYTHONPATH": str(newer)}


def client_of(place: Place) -> Client:
    """A client that finds the daemon again, whichever it is by then."""

    def endpoint() -> Endpoint:
        written = json.loads(place.daemon_file.read_text())
        return Endpoint(token=written["token"], socket=written["socket"])

    async def again(loss: Loss) -> Endpoint | None:
        return endpoint()

    found = endpoint()
    return Client(token=found.token, socket=found.socket, reconnect=again)


async def spawned(client: Client, workspace: WorkspaceId, project: ProjectId, *, stop: Path) -> list[RunItem]:
    """The runs, each in its own session, all of them printing."""
    program = (sys.executable, "-I", "-S", "-c", PRINTS, str(stop))
    commands = [
        to_envelope(
            SpawnSession(
                workspace_id=workspace,
                project_id=project,
                name=f"printer {number}",
                agent=AgentSpec(adapter="command", argv=program),
                place="none",
            ),
            trace_id="many",
        )
        for number in range(RUNS)
    ]
    answers = await client.batch(commands)
    assert all(answer.accepted for answer in answers)
    runs: list[RunItem] = []

    async def all_started() -> bool:
        runs[:] = await client.list(RunItem, workspace_id=workspace)
        return len(runs) == RUNS and all(run.status == "started" for run in runs)

    await eventually_async(all_started, within_s=400)
    return runs


async def answers(client: Client) -> bool:
    """Whether a daemon is there and knows us."""
    try:
        await client.ready()
    except (Unreachable, RequestRefused):
        return False
    return True


async def followed(client: Client, run: RunItem) -> bytes:
    """Everything it printed, resumed by offset whenever the stream breaks."""
    seen = b""
    while True:
        pieces: AsyncGenerator[bytes] = client.follow_output(
            RunId(run.id), from_=len(seen), workspace_id=WorkspaceId(run.workspace_id)
        )
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    seen += piece
        except (Unreachable, RequestRefused):  # gone, or just coming: its file still has the old token
            await eventually_async(lambda: answers(client), within_s=60)
        if b"total" in seen and seen.endswith(b"\n"):
            return seen


def expected(output: bytes) -> bytes:
    """What the program must have printed, by its own count."""
    total = int(output.split()[-1])
    lines = [f"line {number}" for number in range(1, total + 1)]
    return "".join(f"{line}\r\n" for line in [*lines, f"total {total}"]).encode()


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_no_run_ends_and_no_byte_is_lost_when_the_daemon_is_killed_and_upgraded(
    place: Place, repository: Repository
) -> None:
    workspace = WorkspaceId(place.made("workspace", "create", "core"))
    project = ProjectId(place.made("project", "create", "paint", "--repo", str(repository.path)))
    stop = place.root / "stop"
    async with client_of(place) as client:
        runs = await spawned(client, workspace, project, stop=stop)
        pids = {run.id: run.pid for run in runs}
        following = [asyncio.create_task(followed(client, run)) for run in runs[:FOLLOWED]]

        await asyncio.to_thread(place.kill_daemon)
        await asyncio.to_thread(place.ok, "daemon", "start")
        said = await asyncio.to_thread(
            place.call,
            sys.executable,
            "-P",
            "-m",
            "moduprompt.cli.mpd",
            "upgrade",
            "--json",
            environ=newer_build(place),
        )
        assert (said.status, said.json["to"]) == (0, NEWER), said
        assert said.json["live_runs"] == RUNS
        after = {run.id: run for run in await client.list(RunItem, workspace_id=workspace)}
        assert {id_: (run.status, run.pid) for id_, run in after.items()} == {
            id_: ("started", pid) for id_, pid in pids.items()
        }
        assert all(pid is not None and is_alive(pid) for pid in pids.values())

        stop.touch()
        texts = await asyncio.gather(*following)

        async def all_exited() -> bool:
            now = await client.list(RunItem, workspace_id=workspace)
            return all(run.status == "exited" for run in now)

        await eventually_async(all_exited, within_s=300)
        for run in runs:
            pieces = client.run_output(RunId(run.id), workspace_id=workspace)
            output = b"".join([piece async for piece in pieces])
            assert hashlib.sha256(output).digest() == hashlib.sha256(expected(output)).digest()
        ended = await client.list(RunItem, workspace_id=workspace)
    assert [text == expected(text) for text in texts] == [True] * FOLLOWED
    assert {(run.how, run.code, run.leftovers) for run in ended} == {("exited", 0, 0)}
    assert "the log holds" in place.ok("log", "verify").out
