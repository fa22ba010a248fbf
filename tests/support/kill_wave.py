"""A wave: rounds of `kill -9` that share one daemon, lived through at once and judged one by one.

A run of a wave is spoken to and ended by a client that goes on over every daemon; beside it somebody waits for
the round's moment and kills. What was promised and what happened comes from the log, what was done from the
keeper's journal and from what the program wrote down itself.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.client import Client, first_event
from moduprompt.domain.run.commands import StopRun
from moduprompt.domain.run.events import RunExited, RunLost, RunOutputRecorded, RunRequested, RunStarted
from moduprompt.domain.session.commands import AgentSpec, PromptSession, SpawnSession
from moduprompt.domain.session.events import SessionSpawned
from moduprompt.domain.worktree.commands import CommitWorktree, CreateWorktree
from moduprompt.domain.worktree.events import WorktreeCommitted, WorktreeCreated, WorktreeRequested
from moduprompt.effects.runner import port
from moduprompt.keeper import cgroups
from moduprompt.protocol import EventEnvelope, ProjectId, RunId, SessionId, WorkspaceId
from tests.support.daemon import Place
from tests.support.deadline import eventually_async
from tests.support.git_repository import Repository
from tests.support.killing import Round, Traces, Victim, draw, killed

PATIENCE_S: Final = 150.0  # with one step of a run, however often the daemon is killed meanwhile
ENDS: Final = (RunExited.wire, RunLost.wire)
ONCE: Final = (RunRequested.wire, RunStarted.wire, RunOutputRecorded.wire)


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """Where the runs of all waves belong."""

    workspace_id: WorkspaceId
    project_id: ProjectId
    repository: Repository


class Life(msgspec.Struct, kw_only=True):
    """What became of one round so far."""

    round: Round
    session_id: SessionId
    traces: Traces
    killed: set[Victim] = msgspec.field(default_factory=set[Victim])


class History:
    """The log as it is streamed, over every daemon of the test."""

    def __init__(self) -> None:
        self._events: dict[str, list[EventEnvelope]] = defaultdict(list)
        self._moved = asyncio.Event()

    async def follow(self, client: Client, workspace_id: WorkspaceId) -> None:
        """For ever."""
        async with aclosing(client.events(workspace_id)) as events:
            async for event in events:
                self._events[event.subject.id].append(event)
                moved, self._moved = self._moved, asyncio.Event()
                moved.set()

    def types(self, id_: str) -> list[str]:
        """What has happened to it, in order."""
        return [event.event_type for event in self._events[id_]]

    def has_ended(self, run_id: str) -> bool:
        """Whether the log knows the run's end."""
        return not set(ENDS).isdisjoint(self.types(run_id))

    def of(self, id_: str, *wires: str) -> list[EventEnvelope]:
        """Those of its events."""
        return [event for event in self._events[id_] if event.event_type in wires]

    async def until(self, id_: str, *wires: str) -> None:
        """One of these has happened to it."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not self.of(id_, *wires):
                    await self._moved.wait()
        except TimeoutError:
            raise AssertionError(f"{id_} has only {self.types(id_)}, none of {wires}") from None


class Nurse:
    """Kills the daemon, and starts it again."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._one = asyncio.Lock()
        self.kills = 0

    async def kill_daemon(self, *, away_s: float) -> bool:
        """Now; it stays away for so long. False where it is away already."""
        if self._one.locked():
            return False
        async with self._one:
            await asyncio.to_thread(self._place.kill_daemon)
            self.kills += 1
            await later(away_s)
            said = await asyncio.to_thread(self._place.call, "mpd", "start")
            assert said.status == 0, said
        return True

    async def rest(self) -> None:
        """Until the daemon is there."""
        async with self._one:
            return


async def later(seconds: float) -> None:
    """A moment that was drawn: not a wait for anything."""
    come = asyncio.get_running_loop().create_future()
    timer = asyncio.get_running_loop().call_later(seconds, come.set_result, None)
    try:
        await come
    finally:
        timer.cancel()


class Waves:
    """One after the other on the same data."""

    def __init__(self, place: Place, client: Client, *, history: History, home: Home) -> None:
        self._place = place
        self._client = client
        self._history = history
        self._home = home
        self._said = place.root / "said"
        self._said.mkdir()
        self.nurse = Nurse(place)
        self.lives: list[Life] = []
        self.evidence: list[str] = []  # of runs that were lost

    async def live(self, seed: int, numbers: range) -> None:
        """These rounds at once, and a commit; then each is judged. What fails says which round it was."""
        async with asyncio.TaskGroup() as wave:
            begun = [wave.create_task(self._live(draw(seed, number))) for number in numbers]
            wave.create_task(self._commit(f"wave-{numbers.start}"))
        await self.nurse.rest()
        for life in [each.result() for each in begun]:
            self.lives.append(life)
            try:
                await self._judge(life)
            except BaseException as fault:
                told = self._history.of(life.traces.run_id, *ENDS)
                fault.add_note(f"{life}\n{life.traces.reports()}\n{life.traces.said()}\n{told}")
                raise

    async def _live(self, round_: Round) -> Life:
        made = await self._client.submit(
            SpawnSession(
                workspace_id=self._home.workspace_id,
                project_id=self._home.project_id,
                name=f"round {round_.number}",
                agent=AgentSpec(adapter="command", argv=round_.argv(self._said)),
                place="none",
            )
        )
        run_id = first_event(made, RunRequested).run_id
        traces = Traces(
            run_id=run_id, run_dir=self._place.data / "runs" / run_id, said_file=self._said / run_id
        )
        session_id = first_event(made, SessionSpawned).session_id
        life = Life(round=round_, session_id=session_id, traces=traces)
        async with asyncio.TaskGroup() as together:
            together.create_task(self._speak(life, run_id))
            together.create_task(self._kill(life))
        await self._history.until(run_id, *ENDS)
        return life

    async def _speak(self, life: Life, run_id: RunId) -> None:
        home = self._home.workspace_id
        for word in life.round.words:
            await self._client.submit(
                PromptSession(workspace_id=home, session_id=life.session_id, prompt=word)
            )
        if life.round.ending == "stop":
            await self._history.until(run_id, RunStarted.wire, *ENDS)
            await self._client.submit(StopRun(workspace_id=home, run_id=run_id))

    async def _kill(self, life: Life) -> None:
        round_, traces = life.round, life.traces

        async def has_come() -> bool:
            return traces.has_come(round_.moment) or self._history.has_ended(traces.run_id)

        try:
            await eventually_async(has_come, within_s=PATIENCE_S)
        except TimeoutError:
            told = (self._history.types(traces.run_id), self._history.types(life.session_id))
            raise AssertionError(f"stuck: {life} {traces.reports()} {traces.said()} {told}") from None
        await later(round_.delay_s)
        if "keeper" in round_.victims and killed(traces.keepers()):
            life.killed.add("keeper")
        if "program" in round_.victims and killed(traces.program()):
            life.killed.add("program")
        if "daemon" in round_.victims and await self.nurse.kill_daemon(away_s=round_.away_s):
            life.killed.add("daemon")

    async def _commit(self, name: str) -> None:
        """Once, however often the daemon dies over it."""
        home = self._home
        made = await self._client.submit(
            CreateWorktree(workspace_id=home.workspace_id, project_id=home.project_id, branch=name)
        )
        id_ = first_event(made, WorktreeRequested).worktree_id
        await self._history.until(id_, WorktreeCreated.wire)
        (created,) = self._history.of(id_, WorktreeCreated.wire)
        place = Path(msgspec.json.decode(created.payload, type=WorktreeCreated).path)
        home.repository.write("work", name, at=place)
        await self._client.submit(
            CommitWorktree(workspace_id=home.workspace_id, worktree_id=id_, message=name)
        )
        await self._history.until(id_, WorktreeCommitted.wire)
        subjects = home.repository.git("log", "--format=%s", name).splitlines()
        assert subjects.count(name) == 1, subjects

    async def _judge(self, life: Life) -> None:
        traces, wires = life.traces, self._history.types(life.traces.run_id)
        assert [wires.count(wire) for wire in ONCE if wire in wires] == [1] * len(set(ONCE) & set(wires))
        (end,) = self._history.of(traces.run_id, *ENDS)
        last_word = next((each for each in traces.reports() if isinstance(each, port.Exited)), None)
        if end.event_type == RunLost.wire:
            self._judge_lost(life, end, last_word=last_word)
        else:
            _judge_exited(end, wires, last_word=last_word)
        self._judge_said(life, has_started=RunStarted.wire in wires)
        await self._is_gone(traces)

    def _judge_lost(self, life: Life, end: EventEnvelope, *, last_word: port.Exited | None) -> None:
        assert last_word is None, "lost, although its journal has the end"
        assert "keeper" in life.killed, "lost, although nobody killed its keeper"
        evidence = msgspec.json.decode(end.payload, type=RunLost).evidence
        assert "is not alive" in evidence or "no journal" in evidence, evidence
        self.evidence.append(evidence)

    def _judge_said(self, life: Life, *, has_started: bool) -> None:
        """Started once, each word typed once, all of them in order; nothing is missing where nobody was killed."""
        said = life.traces.said()
        expected = ["begin", *life.round.words]
        assert said == expected[: len(said)], said
        if has_started and not life.killed & {"keeper", "program"} and life.round.ending == "bye":
            assert said == expected

    async def _is_gone(self, traces: Traces) -> None:
        """No process, no keeper and no control group is left of it."""

        async def nothing_is_left() -> bool:
            return not traces.living() and not traces.keepers() and traces.run_id not in cgroups.groups()

        await eventually_async(nothing_is_left, within_s=PATIENCE_S)


def _judge_exited(end: EventEnvelope, wires: list[str], *, last_word: port.Exited | None) -> None:
    """What the log says is what the keeper said."""
    told = msgspec.json.decode(end.payload, type=RunExited)
    if last_word is None:
        assert told.how == "not_started", "exited, and no keeper has said so"
        assert RunStarted.wire not in wires
        return
    said = (last_word.how, last_word.code, last_word.signal, last_word.output_bytes)
    assert (told.how, told.code, told.signal, told.output_bytes) == said
    assert RunOutputRecorded.wire in wires
