# ruff: noqa: ARG002 - fakes have the shape of their ports, and need less
"""A runner without processes and a kernel without a log, to see what hands do in every case.

A `Keeper` is scripted: the entries it tells, what its status says, how it answers. The
reporter keeps what was reported under which key, and may refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec.structs import replace

from moduprompt.domain.decider import Command
from moduprompt.domain.run.intents import KeepRun
from moduprompt.effects.agents.port import AgentRequest
from moduprompt.effects.git.port import GitRefusal, StatusFacts
from moduprompt.effects.runner import port
from moduprompt.kernel.ports import Opened
from moduprompt.protocol import (
    Accepted,
    Answer,
    ArtifactRef,
    Code,
    CommandId,
    Micros,
    RefusedAnswer,
    RunId,
    WorkspaceId,
    refusal,
)

RUN = RunId("00000000-0000-7000-8000-0000000000c1")
WORKSPACE = WorkspaceId("00000000-0000-7000-8000-0000000000a1")
STARTED = port.Started(pid=11, start_time=111, boot_id="b")
EXITED = port.Exited(
    how="exited",
    code=0,
    signal=None,
    reason=None,
    output_bytes=5,
    output_dropped_bytes=0,
    leftovers=(),
    survivors=(),
)
WORKING = port.StatusReply(
    state="running",
    fg_pgid=1,
    canonical=True,
    echo=True,
    waiting_on_tty=False,
    evidence="it runs",
    quiet_ms=10_000,
    output_bytes=0,
    input_waiting_bytes=0,
    disk_refuses=False,
)
WAITING = replace(WORKING, waiting_on_tty=True, evidence="blocked in read")


def entries(*reports: port.Report) -> tuple[port.Entry, ...]:
    """A journal of these, numbered from 1."""
    return tuple(port.Entry(number=n, at_us=n, report=each) for n, each in enumerate(reports, 1))


class Keeper:
    """A run's keeper as the test wants it: alive until it has told all and `is_over`."""

    def __init__(self, *reports: port.Report) -> None:
        self.journal = list(entries(*reports))
        self.acknowledged = 0
        self.typed: dict[str | None, bytes] = {}
        self.asked: list[str] = []
        self.statuses: list[port.StatusReply] = [WORKING]
        self.input_answer: port.InputResult | port.RequestRefused | None = None
        self.answer: port.Done | port.RequestRefused = port.Done()
        self.breaks_on: str | None = None
        self.moves_on = 0  # so many guarded inputs come too late
        self.looks = 0
        self.on_look: dict[int, Callable[[], None]] = {}  # what happens while it is looked at
        self.looks_wanted = 0  # it hangs up after so many
        self.was_looked_at = asyncio.Event()

    def told(self, report: port.Report) -> None:
        self.journal.append(port.Entry(number=len(self.journal) + 1, at_us=1, report=report))

    def note(self, request: str) -> None:
        self.asked.append(request)
        if request == self.breaks_on:
            raise port.LinkClosedError("broke")


class Link:
    """The `RunLink` of a scripted keeper."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.welcome = port.Welcome(
            version=1,
            run_id=RUN,
            keeper_pid=10,
            keeper_start_time=1,
            pid=11,
            start_time=111,
            state="running",
            output_bytes=0,
            journal_last=len(keeper.journal),
            journal_acknowledged=keeper.acknowledged,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def entries(self, *, after: int = 0) -> AsyncIterator[port.Entry]:
        self.keeper.note("entries")
        for entry in self.keeper.journal:
            if entry.number > max(after, self.keeper.acknowledged):
                yield entry
        if self.keeper.looks < self.keeper.looks_wanted:
            await self.keeper.was_looked_at.wait()
        raise port.LinkClosedError("the keeper hung up")

    async def output(
        self, from_offset: int = 0, *, answers_terminal: bool = False
    ) -> AsyncIterator[port.OutputChunk]:
        yield port.OutputChunk(offset=from_offset, data=b"")

    async def send_input(
        self,
        data: bytes,
        *,
        author: port.Author,
        input_id: str | None,
        if_output_bytes: int | None = None,
        if_canonical: bool | None = None,
    ) -> port.InputResult | port.RequestRefused:
        self.keeper.note("input")
        if self.keeper.input_answer is not None:
            return self.keeper.input_answer
        if self.keeper.moves_on and if_output_bytes is not None:
            self.keeper.moves_on -= 1
            return port.RequestRefused(code="moved_on", message="it has printed more by now")
        first = self.keeper.typed.setdefault(input_id, data)
        return port.InputResult(input_id=input_id, outcome="applied", bytes=len(first))

    async def resize(self, *, rows: int, cols: int) -> port.Done | port.RequestRefused:
        self.keeper.note(f"resize {rows}x{cols}")
        return self.keeper.answer

    async def close_input(self) -> port.Done | port.RequestRefused:
        self.keeper.note("close input")
        return self.keeper.answer

    async def signal(self, name: port.SignalName) -> port.Done | port.RequestRefused:
        self.keeper.note(f"signal {name}")
        return self.keeper.answer

    async def stop(self, *, reason: str) -> port.Done | port.RequestRefused:
        self.keeper.note("stop")
        return self.keeper.answer

    async def status(self) -> port.StatusReply:
        self.keeper.looks += 1
        self.keeper.on_look.get(self.keeper.looks, lambda: None)()
        if self.keeper.looks == self.keeper.looks_wanted:
            self.keeper.was_looked_at.set()
        reply = self.keeper.statuses[0]
        if len(self.keeper.statuses) > 1:
            del self.keeper.statuses[0]
        return reply

    async def ack(self, upto: int) -> port.Done | port.RequestRefused:
        self.keeper.note(f"ack {upto}")
        self.keeper.acknowledged = upto
        return port.Done()

    async def close(self) -> None:
        return


class Backend:
    """A `Backend` with one run. `found` is what dialling finds now; starting makes it the keeper."""

    def __init__(self, folder: Path, found: Keeper | port.Gone | port.Unreachable) -> None:
        self.folder = folder
        self.found = found
        self.starts: list[port.LaunchSpec] = []
        self.start_answer: port.Kept | port.StartRefused = port.Kept(run_id=RUN)
        self.next_keeper = Keeper(STARTED, EXITED)
        self.left: tuple[port.ProcessName, ...] = ()

    async def start(self, spec: port.LaunchSpec) -> port.Kept | port.StartRefused:
        self.starts.append(spec)
        if isinstance(self.start_answer, port.Kept):
            self.found = self.next_keeper
        return self.start_answer

    async def dial(self, run_id: str) -> Link | port.Unreachable | port.Gone:
        return Link(self.found) if isinstance(self.found, Keeper) else self.found

    async def sweep(self, run_id: str) -> tuple[port.ProcessName, ...]:
        left, self.left = self.left, ()
        return left

    def run_dir(self, run_id: str) -> Path:
        return self.folder / run_id


def gone(*reports: port.Report) -> port.Gone:
    """A keeper that is no more, and the journal it left."""
    return port.Gone(run_id=RUN, evidence="keeper 10 is not alive", entries=entries(*reports), survivors=())


UNREACHABLE = port.Unreachable(run_id=RUN, evidence="silent")


class KilledHere(BaseException):
    """The daemon was killed before this report was durable."""


class Reports:
    """A `Reporter` that keeps what it is told; the same key again is the same."""

    def __init__(self) -> None:
        self.by_key: dict[str, Command] = {}
        self.refusing = 0
        self.dies_at: str | None = None
        self.changes_nothing: set[str] = set()  # keys of reports that come too late

    @property
    def commands(self) -> list[Command]:
        return list(self.by_key.values())

    async def execute(self, command: Command, *, key: str) -> Answer:
        if self.dies_at is not None and key.endswith(self.dies_at):
            raise KilledHere(key)
        if self.refusing:
            self.refusing -= 1
            unavailable = refusal(Code.UNAVAILABLE, "the disk takes no writes")
            return RefusedAnswer(command_id=CommandId(RUN), trace_id=key, rejection=unavailable)
        known = self.by_key.setdefault(key, command)
        assert known == command, f"{key} was {known}, now {command}"
        events = () if key in self.changes_nothing else (msgspec.Raw(b"{}"),)
        return Accepted(command_id=CommandId(RUN), trace_id=key, seq_global=1, events=events)


class Doors:
    """Doors that note who opened and closed them."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def open(self, run_id: RunId) -> str:
        self.events.append("open")
        return f"/run/{run_id}.sock"

    async def close(self, run_id: RunId) -> None:
        self.events.append("close")


class Tokens:
    """Tokens that can be recognised."""

    def run_token(self, workspace_id: WorkspaceId, run_id: RunId) -> str:
        return f"token of {run_id}"


class Trees:
    """One worktree, which stands as the test says."""

    def __init__(self, *stands: StatusFacts) -> None:
        self.stands = list(stands)  # one look after the other; the last one stays

    async def status(self, path: str) -> StatusFacts | GitRefusal:
        if not self.stands:
            return GitRefusal(reason="not_a_repository", message=f"{path} is no repository", path=path)
        return self.stands.pop(0) if len(self.stands) > 1 else self.stands[0]


def by_its_words(intent: KeepRun) -> AgentRequest:
    """What a run was started by, as far as its intent says."""
    return AgentRequest(words=intent.argv, run_id=intent.run_id)


class QuickClock:
    """A clock whose sleeps end at once, but let others go first."""

    def __init__(self) -> None:
        self.time = 0
        self.slept: list[float] = []

    def now(self) -> Micros:
        self.time += 1
        return Micros(self.time)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


class Texts:
    """Artifacts in memory: `refs` of texts that are there."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts

    async def put(self, workspace_id: WorkspaceId, data: bytes) -> ArtifactRef:
        return ArtifactRef(f"blake3:{'0' * 64}")

    async def put_chunks(self, workspace_id: WorkspaceId, chunks: Iterable[bytes]) -> ArtifactRef:
        return await self.put(workspace_id, b"".join(chunks))

    async def get(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> bytes | None:
        found = self.texts.get(ref)
        return None if found is None else found.encode()

    async def open(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> Opened | None:
        found = await self.get(workspace_id, ref)
        return None if found is None else Opened(size=len(found), chunks=iter((found,)))

    async def erase(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> None:
        self.texts.pop(ref, None)
