"""What a session costs over its bare program: codex, by the same command, against the same scripted model, in turns.

A turn of a program that gets one prompt is one run: from the order until the log says how it ended, over the time from its
start to its exit without us. A fork is measured until its program has been started; the rest is the program's own.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from bench.figures import Figure, Scale, in_turns
from bench.rig import FOLDER
from bench.served import Served, daemon
from moduprompt.client import Client
from moduprompt.domain.decider import Event
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.registry import read_event
from moduprompt.domain.run.commands import StopRun
from moduprompt.domain.run.events import RunExited, RunRequested, RunStarted
from moduprompt.domain.session.commands import AgentSpec, ForkSession, SpawnSession
from moduprompt.effects.agents.codex import CodexAdapter
from moduprompt.effects.agents.port import AgentCommand, AgentRequest
from moduprompt.kernel.clock import SystemMint
from moduprompt.protocol import ProjectId, RunId, SessionId, WorkspaceId, decode_event

ROOT: Final = FOLDER.parent
PROGRAMS: Final = ROOT / ".agents" / "node_modules" / ".bin"
WORDS: Final = ("--permissions", "all", "--model", "scripted-model")
PROMPT: Final = 'SCRIPT[{"bash": "true"}, {"text": "Done."}]ENDSCRIPT'
SILENT: Final = 'SCRIPT[{"text": "late", "sleep_s": 600}]ENDSCRIPT'
FORKS: Final = 7
LIVE: Final = 4  # at once, for their memory: each is 180 MB of codex
FILES: Final = 1_000  # of the repository that is forked: a project of some size
SETTLE_S: Final = 2.0  # until a program waits for its model
E = TypeVar("E", bound=Event)


async def real_agents(scale: Scale) -> list[Figure]:
    """A turn, a fork, and the memory of what stands around a program."""
    assert (PROGRAMS / "codex").exists(), "codex is not installed: make agents"
    async with _model() as address:
        os.environ |= {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "OPENAI_BASE_URL": f"{address}/v1"}
        os.environ["OPENAI_API_KEY"] = "none"
        async with daemon() as served, Client(token=served.token, socket=served.socket) as client:
            sessions = _Sessions(served, client)
            with TemporaryDirectory(prefix="mp-bench-") as folder:
                bare = _Bare(Path(folder), address=f"{address}/v1")
                await bare.turn()
                await sessions.turn()
                ours, theirs = await in_turns(sessions.turn, bare.turn, rounds=scale.of(9, quick=1))
                fork_s = await sessions.fork(Path(folder) / "repository", times=scale.of(FORKS, quick=1))
            memory_mb = await sessions.memory_mb(scale.of(LIVE, quick=1))
    return [
        Figure(
            name="a turn of codex as a session, over the bare program",
            unit="ms",
            value=1_000 * (ours - theirs),
            goal="< 100 ms",
            note=f"from the order to run.exited {1_000 * ours:.0f} ms, bare {1_000 * theirs:.0f} ms",
        ),
        Figure(
            name="memory around a program: keeper and its share of the daemon (PSS)",
            unit="MB",
            value=memory_mb,
            goal="< 30 MB",
        ),
        Figure(
            name="a fork until its program is started",
            unit="ms",
            value=1_000 * fork_s,
            goal="< 1,000 ms",
            note=f"of a repository with {FILES} files, each with a worktree of its own",
        ),
    ]


class _Sessions:
    """Sessions of codex under the daemon."""

    def __init__(self, served: Served, client: Client) -> None:
        self._client = client
        self._pid = served.pid
        self._home = WorkspaceId(served.workspace_id)
        self._project = ProjectId(served.project_id)
        self._number = 0

    async def turn(self) -> float:
        """Seconds from the order of a session that works nowhere until the log has its run's end."""
        began = time.perf_counter()
        session_id, seq = await self._spawn(self._project, prompt=PROMPT, is_placed=False)
        exited = await self._first(RunExited, session_id, after=seq)
        took = time.perf_counter() - began
        assert exited.outcome == "succeeded", f"BUG: {exited}"
        return took

    async def fork(self, repository: Path, *, times: int) -> float:
        """The median of seconds from the order until the new session's program is started."""
        await asyncio.to_thread(_make_repository, repository)
        project = await self._client.submit(
            CreateProject(workspace_id=self._home, name="forked", repository=str(repository))
        )
        project_id = ProjectId(decode_event(project.events[0]).subject.id)
        source, seq = await self._spawn(project_id, prompt=PROMPT, is_placed=True)
        await self._first(RunExited, source, after=seq)
        took: list[float] = []
        for number in range(times):
            fork = ForkSession(
                workspace_id=self._home, session_id=source, name=f"fork {number}", prompt=PROMPT
            )
            began = time.perf_counter()
            made = await self._client.submit(fork)
            forked = SessionId(decode_event(made.events[0]).subject.id)
            await self._first(RunStarted, forked, after=made.seq_global)
            took.append(time.perf_counter() - began)
            await self._first(RunExited, forked, after=made.seq_global)
        return median(took)

    async def memory_mb(self, count: int) -> float:
        """Of the keepers of so many live runs and of what the daemon grew by, for one of them."""
        before = _pss_kb(self._pid)
        spawned = [await self._spawn(self._project, prompt=SILENT, is_placed=False) for _ in range(count)]
        started = [await self._first(RunStarted, session_id, after=seq) for session_id, seq in spawned]
        await asyncio.sleep(SETTLE_S)
        keepers = sum(_pss_kb(_parent(each.pid)) for each in started)
        around = (keepers + max(0, _pss_kb(self._pid) - before)) / count / 1_000
        for each, (session_id, seq) in zip(started, spawned, strict=True):
            await self._client.submit(StopRun(workspace_id=self._home, run_id=RunId(each.run_id)))
            await self._first(RunExited, session_id, after=seq)
        return around

    async def _spawn(self, project_id: ProjectId, *, prompt: str, is_placed: bool) -> tuple[SessionId, int]:
        self._number += 1
        spawn = SpawnSession(
            workspace_id=self._home,
            project_id=project_id,
            name=f"codex {self._number}",
            agent=AgentSpec(adapter="codex", argv=WORDS),
            prompt=prompt,
            place="new_worktree" if is_placed else "none",
        )
        made = await self._client.submit(spawn)
        return SessionId(decode_event(made.events[0]).subject.id), made.seq_global

    async def _first(self, kind: type[E], session_id: SessionId, *, after: int) -> E:
        """The first such event of the session's run, as soon as the log has it."""
        run_id = ""
        async with aclosing(self._client.events(self._home, from_=after - 1)) as events:
            async for envelope in events:
                event = read_event(envelope)
                if isinstance(event, RunRequested) and event.session_id == session_id:
                    run_id = event.run_id
                if isinstance(event, kind) and envelope.subject.id == run_id:
                    return event
        raise AssertionError("BUG: the stream of events has no end")


class _Bare:
    """The same program by the same command, without us."""

    def __init__(self, folder: Path, *, address: str) -> None:
        self._folder = folder
        self._address = address
        self._mint = SystemMint(b"bench")

    async def turn(self) -> float:
        """Seconds from its start to its exit."""
        home = self._folder / self._mint.new_id()
        cwd = home / "work"
        cwd.mkdir(parents=True)
        command = self._command(home)
        for file in command.files:
            (home / file.path).write_bytes(file.content)
        environment = {name: os.environ[name] for name in ("PATH", "HOME")} | {**command.env}
        assert command.stdin_file is not None, "BUG: codex reads its prompt from a file"
        began = time.perf_counter()
        with open(command.stdin_file, "rb") as prompt, open(home / "output", "wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                cwd=cwd,
                env=environment,
                stdin=prompt,
                stdout=output,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            await process.wait()
        took = time.perf_counter() - began
        assert b"turn.completed" in (home / "output").read_bytes(), "BUG: it did not do its turn"
        return took

    def _command(self, home: Path) -> AgentCommand:
        prompt_file = home / "prompt.txt"
        prompt_file.write_text(PROMPT)
        request = AgentRequest(
            words=WORDS,
            prompt=PROMPT,
            prompt_file=str(prompt_file),
            run_id=self._mint.new_id(),
            cwd=str(home / "work"),
            home=str(home),
            variables={"OPENAI_BASE_URL": self._address, "OPENAI_API_KEY": "none"},
        )
        command = CodexAdapter().command(request)
        assert isinstance(command, AgentCommand), f"BUG: {command}"
        return command


@asynccontextmanager
async def _model() -> AsyncGenerator[str]:
    """The address of a scripted model of our own."""
    words = ("-I", "-S", str(ROOT / "src" / "moduprompt" / "scripted_model"), "--with-parent")
    server = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert server.stdout is not None, "BUG: it was asked for"
    try:
        yield json.loads(await server.stdout.readline())["address"]
    finally:
        server.kill()
        await server.wait()


def _make_repository(path: Path) -> None:
    path.mkdir()
    for number in range(FILES):
        (path / f"{number}.txt").write_text(f"{number}\n" * 100)
    identity = ("-c", "user.name=Bench", "-c", "user.email=bench@localhost")
    for words in (("init", "--quiet", "-b", "main"), ("add", "."), ("commit", "--quiet", "--message", "All")):
        subprocess.run(["git", *identity, *words], cwd=path, check=True)


def _parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return int(stat.rpartition(")")[2].split()[1])


def _pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("BUG: smaps_rollup has a Pss line")
