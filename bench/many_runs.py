"""What many live runs cost together: 200 that wait, then up to a thousand, under one daemon.

Each is the scripted agent that has asked a question and waits for the answer: an interpreter of its own, its
keeper, and a daemon that looks at it. Time and memory are bounded, so a small or busy machine shows fewer; the
note says how many lived.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from bench.figures import Figure, Scale
from bench.served import Served, daemon
from moduprompt.client import Client, to_envelope
from moduprompt.domain.decider import Command
from moduprompt.domain.run.commands import StopRun
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import AgentSpec, SpawnSession
from moduprompt.effects.runner.admission import MIB, ThisMachine
from moduprompt.protocol import ProjectId, RunId, WorkspaceId

IDLE: Final = 200
MANY: Final = 1_000
BATCH: Final = 50
START_S: Final = 180.0  # for all starts together: a thousand take a minute and a half of two quiet cores
LOOK_S: Final = 10
SETTLE_S: Final = 3.0  # looks at a run that waits grow rarer for two seconds
END_S: Final = 60.0  # to stop them; what is left then ends with its keeper's limits
AGAIN_S: Final = 0.25
ROOM_BYTES: Final = 16 * MIB  # of one run: keeper and agent are 12 of it
SPARED_BYTES: Final = 4 * 1024 * MIB  # of the machine, for whoever else works there
TICKS: Final = os.sysconf("SC_CLK_TCK")
SCRIPT: Final = '[[step]]\nask = "Which colour?"\nname = "colour"\n'


async def many_runs(scale: Scale) -> list[Figure]:
    """Idle cost of 200; then start rate, memory, processor and descriptors of as many as there is room for."""
    room = max(1, (ThisMachine().room().memory_bytes - SPARED_BYTES) // ROOM_BYTES)
    few, many = scale.of(IDLE, quick=4), min(room, scale.of(MANY, quick=8))
    async with daemon() as served, Client(token=served.token, socket=served.socket) as client:
        crowd = _Crowd(served, client)
        try:
            await crowd.grow(min(few, many))
            await asyncio.sleep(SETTLE_S)
            idle = await crowd.processor(scale.of(LOOK_S, quick=1))
            at_rest, began, before = len(crowd.waiting), time.perf_counter(), len(crowd.waiting)
            await crowd.grow(many)
            rate = (len(crowd.waiting) - before) / (time.perf_counter() - began)
            await asyncio.sleep(SETTLE_S)
            busy = await crowd.processor(scale.of(LOOK_S, quick=1))
            lived, pss, daemon_mb = len(crowd.waiting), crowd.memory_mb(), _pss_kb(served.pid) / 1_000
            descriptors = len(list(Path(f"/proc/{served.pid}/fd").iterdir()))
        finally:
            await crowd.end()
    note = f"{lived} of {many} runs lived after {START_S:g} s of starting"
    return [
        Figure(
            name=f"{at_rest} idle runs, processor of daemon, keepers and agents",
            unit="% of a core",
            value=idle,
            goal="< 2 %" if at_rest >= IDLE else "",
        ),
        Figure(name="live runs at once", unit="runs", value=lived, goal="", note=note),
        Figure(name="starts of scripted agents, until they ask", unit="runs/s", value=rate, goal=""),
        Figure(name="memory of a live run: keeper and agent (PSS)", unit="MB", value=pss, goal=""),
        Figure(name="memory of the daemon under them (PSS)", unit="MB", value=daemon_mb, goal=""),
        Figure(name="processor of all of them, idle", unit="% of a core", value=busy, goal=""),
        Figure(name="descriptors of the daemon under them", unit="files", value=descriptors, goal=""),
    ]


class _Crowd:
    """The runs of one benchmark."""

    def __init__(self, served: Served, client: Client) -> None:
        self.waiting: list[RunItem] = []  # those that have asked
        self._served = served
        self._client = client
        self._home = WorkspaceId(served.workspace_id)
        self._asked = 0
        self._left_s = START_S
        self._script = served.report.with_name("ask.toml")
        self._script.write_text(SCRIPT)

    async def grow(self, to: int) -> None:
        """Until so many wait for an answer, or the time for starting is over."""
        began = time.perf_counter()
        while len(self.waiting) < to and time.perf_counter() - began < self._left_s:
            if self._asked < to and self._asked - len(self.waiting) < 2 * BATCH:
                await self._spawn(min(BATCH, to - self._asked))
            await asyncio.sleep(AGAIN_S)
            runs = await self._client.list(RunItem, workspace_id=self._home)
            self.waiting = [run for run in runs if run.observed == "waiting_input"]
        self._left_s -= time.perf_counter() - began

    async def processor(self, look_s: int) -> float:
        """Per cent of a core, of the daemon, the keepers and the agents together."""
        pids = [self._served.pid, *self._pids()]
        before = sum(map(_ticks, pids))
        await asyncio.sleep(look_s)
        return 100 * (sum(map(_ticks, pids)) - before) / TICKS / look_s

    def memory_mb(self) -> float:
        """Of one run, on average."""
        return sum(map(_pss_kb, self._pids())) / 1_000 / max(1, len(self.waiting))

    async def end(self) -> None:
        """All of them, also those that have not asked yet."""
        runs = [run for run in await self._client.list(RunItem, workspace_id=self._home) if _lives(run)]
        stops = [StopRun(workspace_id=self._home, run_id=RunId(run.id)) for run in runs]
        for first in range(0, len(stops), BATCH):
            await self._submit(stops[first : first + BATCH])
        end = time.perf_counter() + END_S
        while any(map(_lives, runs)) and time.perf_counter() < end:
            await asyncio.sleep(AGAIN_S)
            runs = await self._client.list(RunItem, workspace_id=self._home)

    def _pids(self) -> list[int]:
        agents = [run.pid for run in self.waiting if run.pid is not None]
        return agents + [int(_stat(pid)[1]) for pid in agents]

    async def _spawn(self, count: int) -> None:
        agent = AgentSpec(adapter="scripted", argv=(str(self._script),))
        commands = [
            SpawnSession(
                workspace_id=self._home,
                project_id=ProjectId(self._served.project_id),
                name=f"agent {self._asked + number}",
                agent=agent,
                place="none",
            )
            for number in range(count)
        ]
        await self._submit(commands)
        self._asked += count

    async def _submit(self, commands: list[SpawnSession] | list[StopRun]) -> None:
        every: list[Command] = [*commands]
        answers = await self._client.batch([to_envelope(command) for command in every])
        assert all(answer.accepted for answer in answers), f"BUG: {answers}"


def _lives(run: RunItem) -> bool:
    return run.status in ("requested", "started")


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _ticks(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12])


def _pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("BUG: smaps_rollup has a Pss line")
