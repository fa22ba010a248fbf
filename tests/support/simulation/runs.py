"""Runs over daemons that die: the real hands of the runner on made-up keepers, all from one seed.

    a round = one daemon, killed at a drawn turn of its loop, while keepers and programs are killed too

The next round boots on the same disk and finds the same keepers. What must hold is looked at after each
round, and all of it at the end, when everything has become quiet.
"""

import asyncio
import tempfile
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.domain.decider import Command
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.project.events import ProjectCreated
from moduprompt.domain.registry import read_event
from moduprompt.domain.run.commands import StopRun
from moduprompt.domain.run.events import RunExited, RunLost, RunRequested, RunStarted
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import AgentSpec, InterruptSession, PromptSession, SpawnSession
from moduprompt.domain.session.events import (
    InterruptNotTaken,
    InterruptRequested,
    InterruptSent,
    InterruptUncertain,
    PromptSubmitted,
    SessionInterrupted,
    SessionSpawned,
)
from moduprompt.domain.task.commands import CreateTask, StartTask
from moduprompt.domain.task.events import TaskCreated, TaskStarted
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.recovery.memory import StartMemory
from moduprompt.effects.runner import port
from moduprompt.effects.runner.admission import Admission
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.hand import RunHand
from moduprompt.effects.runner.interrupting import Interrupter
from moduprompt.effects.runner.launching import Surroundings
from moduprompt.effects.runner.typist import Typist
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ports import Hand
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Accepted,
    Code,
    EventEnvelope,
    ProjectId,
    RunId,
    SessionId,
    TaskId,
    WorkspaceId,
    decode_event,
)
from tests.support.fake_machine import FakeMachine
from tests.support.fake_runner import Doors, Tokens, Trees
from tests.support.kernel_stories import Asked
from tests.support.simulation.checks import check_image
from tests.support.simulation.disk import ordered_failures
from tests.support.simulation.image import Image, Violation, hold
from tests.support.simulation.keepers import INTERRUPT, SimBackend, SimKeeper
from tests.support.simulation.living import at_rest
from tests.support.simulation.machine import Machine, World
from tests.support.simulation.medium import Directory
from tests.support.simulation.virtual_time import Stuck, VirtualLoop, run_virtually

ROUNDS: Final = 10  # daemons of one seed that are killed
SESSIONS: Final = 3
PROMPTS: Final = 2  # to each session from each daemon
STOPPED: Final = 0.1  # of the rounds stop a run
TURNS_OF_LIFE: Final = 900
KILL_EVERY: Final = 500  # turns of the loop between two kills of a keeper or a program, on average
PATIENCE_S: Final = 400.0  # of made-up time, for everything to end
POWER: Final = 0.1  # of the rounds end with the machine
ENDS: Final = (RunExited.wire, RunLost.wire)
AGAIN: Final = RetryRule(max_attempts=3, backoff="fixed", delay_s=3, jitter="none")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one seed."""

    rounds: int
    runs: int
    lost: int
    typed: int
    kills: int  # of keepers and programs
    interrupts: int  # that a program got


def keep_runs(seed: int, *, turns: tuple[int, ...] | None = None) -> Kept:
    """One seed. `turns`: how long each daemon lives after the first one, else drawn. Raises Violation."""
    with tempfile.TemporaryDirectory() as folder, ordered_failures():
        world = World(seed, folder=Path(folder))
        try:
            return run_virtually(lambda loop: _Keeping(world, loop, turns=turns).run())
        except Stuck as stuck:
            raise Violation("alive", str(stuck)) from stuck


class _Keeping:
    def __init__(self, world: World, loop: VirtualLoop, *, turns: tuple[int, ...] | None) -> None:
        self._world = world
        self._loop = loop
        self._rng = world.branch()
        drawn = tuple(self._rng.randrange(TURNS_OF_LIFE) for _ in range(ROUNDS - 1))
        self._turns = (0, *(drawn if turns is None else turns))
        self._backend = SimBackend(world.folder, clock=world.clock, rng=world.branch())
        self._kills = 0
        self._workspace = SYSTEM_WORKSPACE
        self._sessions: list[SessionId] = []

    async def run(self) -> Kept:
        """Rounds; then one daemon in peace, under which everything ends."""
        holds = Directory()
        for number in range(len(self._turns)):
            holds = await self._round(holds, number)
        self._backend.is_rough = False
        machine = Machine.assemble(self._world, holds=holds)
        await machine.start(self._hands)
        await self._all_end(machine)
        image = await at_rest(machine)
        check_image(image)
        self._judge(image)
        await machine.bury()
        events = image.workspaces[self._workspace].events
        return Kept(
            rounds=len(self._turns),
            runs=len(self._backend.keepers),
            lost=sum(event.event_type == RunLost.wire for event in events),
            typed=sum(len(keeper.read) for keeper in self._backend.keepers.values()),
            kills=self._kills,
            interrupts=sum(len(keeper.interrupts) for keeper in self._backend.keepers.values()),
        )

    async def _round(self, holds: Directory, number: int) -> Directory:
        machine = Machine.assemble(self._world, holds=holds)
        is_power = number > 0 and self._rng.random() < POWER
        last = self._loop.turns + self._turns[number] if number else None
        working = asyncio.create_task(self._work(machine, number))
        self._loop.on_turn = lambda turn: self._fate(
            machine, is_last=last is not None and turn >= last, is_power=is_power
        )
        await asyncio.wait({working, machine.died}, return_when=asyncio.FIRST_COMPLETED)
        if working.done() and not machine.died.done():
            working.result()  # what was asked for was not done
        await machine.died
        self._loop.on_turn = lambda _: None
        left = await machine.bury()
        await asyncio.gather(working, return_exceptions=True)
        return left

    def _fate(self, machine: Machine, *, is_last: bool, is_power: bool) -> None:
        """What happens at a turn of the loop."""
        if self._rng.randrange(KILL_EVERY) == 0:
            self._strike()
        if is_last:
            for keeper in self._backend.keepers.values() if is_power else ():
                keeper.kill(with_program=True)
                keeper.program_lives = False
            machine.die(self._rng, power=is_power)

    def _strike(self) -> None:
        """A program, a keeper, or both of a run."""
        alive = [each for each in self._backend.keepers.values() if each.is_alive]
        if not alive:
            return
        self._kills += 1
        keeper, kind = self._rng.choice(alive), self._rng.randrange(3)
        if kind == 0:
            keeper.end(killed=True)
        else:
            keeper.kill(with_program=kind == 1)

    def _hands(self, kernel: Kernel) -> tuple[Hand, ...]:
        world, composers = self._world, Composers()
        runs = RunHand(
            self._backend,
            kernel,
            artifacts=FolderArtifacts(world.folder / "artifacts"),
            tokens=Tokens(),
            doors=Doors(),
            surroundings=Surroundings(home="/home", path="/bin", commands_dir=world.folder),
            clock=world.clock,
            witness=StartMemory(version="1", clock=world.clock),
            admission=Admission(FakeMachine(), clock=world.clock, hindered={}),
            trees=Trees(),
        )
        typist = Typist(
            self._backend,
            kernel,
            artifacts=world.artifacts,
            typed=runs.look_again,
            composers=composers,
            clock=world.clock,
        )
        interrupter = Interrupter(
            self._backend,
            kernel,
            talk_with=runs.listener.talk_with,
            speaker=runs.speaker,
            composers=composers,
        )
        return runs, typist, interrupter

    async def _work(self, machine: Machine, number: int) -> None:
        await machine.start(self._hands)
        if number == 0:
            await self._begin(machine)
            machine.die(self._rng, power=False)
            return
        for session in self._sessions:
            for prompt in range(PROMPTS):
                key = f"prompt {session} {number} {prompt}"
                await self._ask(machine, key, self._prompt(session, PROMPTS * number + prompt))
        runs = [run for ledger in machine.kernel.cabinet.ledgers() for run in ledger.every(RunState)]
        if runs and self._rng.random() < STOPPED:
            run = self._rng.choice(runs)
            command = StopRun(workspace_id=self._workspace, run_id=run.run_id)
            await self._ask(machine, f"stop {run.run_id}", command)
        for order in count():
            if machine.died.done():
                return
            await self._interrupt(machine, f"interrupt {number} {order}")

    async def _interrupt(self, machine: Machine, key: str) -> None:
        """Some session, after a while in which a turn may have begun; where there is none, it is refused."""
        await self._world.clock.pass_by(self._rng.choice((0.1, 0.5, 2.0)))
        command = InterruptSession(workspace_id=self._workspace, session_id=self._rng.choice(self._sessions))
        answer = await machine.ask(Asked(command=command, actor=machine.owner, key=key))
        known = (Code.VALIDATION_FAILED, Code.UNAVAILABLE)
        hold("alive", isinstance(answer, Accepted) or answer.rejection.code in known, f"{key}: {answer}")

    def _prompt(self, session_id: SessionId, number: int) -> PromptSession:
        return PromptSession(workspace_id=self._workspace, session_id=session_id, prompt=f"line {number}")

    async def _begin(self, machine: Machine) -> None:
        """Sessions that work on tasks which are tried again."""
        made = await self._ask(machine, "workspace", CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="w"))
        self._workspace = WorkspaceId(_subject(made, WorkspaceCreated.wire, home=True))
        home = self._workspace
        made = await self._ask(machine, "project", CreateProject(workspace_id=home, name="p"))
        project = ProjectId(_subject(made, ProjectCreated.wire))
        for number in range(SESSIONS):
            task = CreateTask(workspace_id=home, project_id=project, title="t", retry=AGAIN)
            made = await self._ask(machine, f"task {number}", task)
            task_id = TaskId(_subject(made, TaskCreated.wire))
            spawn = SpawnSession(
                workspace_id=home,
                project_id=project,
                name=f"s{number}",
                agent=AgentSpec(adapter="command", argv=("agent",)),
                task_id=task_id,
                place="none",
            )
            made = await self._ask(machine, f"session {number}", spawn)
            self._sessions.append(SessionId(_subject(made, SessionSpawned.wire)))
            await self._ask(machine, f"start {number}", StartTask(workspace_id=home, task_id=task_id))

    async def _ask(self, machine: Machine, key: str, command: Command) -> Accepted:
        asked = Asked(command=command, actor=machine.owner, key=key)
        while True:
            answer = await machine.ask(asked)
            if isinstance(answer, Accepted):
                return answer
            hold("alive", answer.rejection.code is Code.UNAVAILABLE, f"{key}: {answer.rejection.message}")
            await self._world.clock.pass_by(0.2)

    async def _all_end(self, machine: Machine) -> None:
        """In peace every program ends, and the log gets to know each end."""
        end = self._loop.time() + PATIENCE_S
        while True:
            for keeper in self._backend.keepers.values():
                keeper.end()
            await self._world.clock.pass_by(5.0)
            runs = [run for ledger in machine.kernel.cabinet.ledgers() for run in ledger.every(RunState)]
            live = [run.run_id for run in runs if run.is_live()]
            if not live and self._loop.time() > end - PATIENCE_S / 2:  # retries have come and gone
                return
            hold("runs end", self._loop.time() < end, f"{live} never end: {self._told(live)}")

    def _told(self, run_ids: list[RunId]) -> str:
        return "; ".join(
            str(self._backend.keepers[id_].journal) for id_ in run_ids if id_ in self._backend.keepers
        )

    def _judge(self, image: Image) -> None:
        events = image.workspaces[self._workspace].events
        for event in events:
            if event.event_type in ENDS:
                _is_true_end(event, self._backend)
        _is_told(events, list(self._backend.keepers.values()))
        _runs_follow_each_other(events)
        _typed_once(events, list(self._backend.keepers.values()))
        _interrupted_once(events, list(self._backend.keepers.values()))


def _subject(answer: Accepted, wire: str, *, home: bool = False) -> str:
    found = next(event for event in map(decode_event, answer.events) if event.event_type == wire)
    return found.workspace_id if home else found.subject.id


def _is_true_end(event: EventEnvelope, backend: SimBackend) -> None:
    """Lost only where its keeper was killed and left no end; exited as the keeper said."""
    run_id = event.subject.id
    keeper = backend.keepers.get(run_id)
    if event.event_type == RunLost.wire:
        hold("lost", keeper is not None and keeper.was_killed, f"{run_id}: nobody killed its keeper")
        hold("lost", keeper is None or not keeper.has_ended, f"{run_id}: its journal has the end")
        hold("lost", keeper is None or not keeper.program_lives, f"{run_id}: its program lives on")
        return
    told = msgspec.json.decode(event.payload, type=RunExited)
    if told.how == "not_started":
        hold("exited", run_id in backend.refused, f"{run_id}: no start was refused")
        hold("exited", keeper is None, f"{run_id}: it had a keeper, and is told as never started")
        return
    said = keeper.journal[-1].report if keeper else None
    holds = isinstance(said, port.Exited) and (said.how, said.code, said.signal) == (
        told.how,
        told.code,
        told.signal,
    )
    hold("exited", holds, f"{run_id}: {told} is not what its keeper said: {said}")


def _is_told(events: tuple[EventEnvelope, ...], keepers: list[SimKeeper]) -> None:
    """A start that a keeper has reported is in the log, once; so is that of a run which is lost."""
    told = [event.subject.id for event in events if event.event_type == RunStarted.wire]
    hold("told", len(told) == len(set(told)), f"told twice: {told}")
    for keeper in keepers:
        said = any(isinstance(entry.report, port.Started) for entry in keeper.journal)
        hold(
            "told",
            said == (keeper.run_id in told),
            f"{keeper.run_id}: its keeper has said {said} to its start",
        )


def _runs_follow_each_other(events: tuple[EventEnvelope, ...]) -> None:
    """A session has one live run at most, and no more runs than its task has attempts."""
    live: dict[str, str] = {}
    requested, attempts = 0, 0
    for event in events:
        if event.event_type == RunRequested.wire:
            session = msgspec.json.decode(event.payload, type=RunRequested).session_id
            hold("one run", session not in live.values(), f"session {session} has two live runs")
            live[event.subject.id] = session
            requested += 1
        elif event.event_type in ENDS:
            live.pop(event.subject.id, None)
        elif event.event_type == TaskStarted.wire:
            attempts += 1
    hold("one run", requested <= attempts, f"{requested} runs for {attempts} attempts")


def _typed_once(events: tuple[EventEnvelope, ...], keepers: list[SimKeeper]) -> None:
    """No prompt is typed twice, whichever run it came to; one that is told as submitted was typed."""
    read = [id_.partition(" ")[0] for keeper in keepers for id_ in keeper.read]
    hold("typed once", len(read) == len(set(read)), f"typed twice: {read}")
    for event in events:
        if event.event_type == PromptSubmitted.wire:
            prompt = msgspec.json.decode(event.payload, type=PromptSubmitted).prompt_id
            hold("typed once", prompt in read, f"prompt {prompt} was never typed")
    for keeper in keepers:
        hold("one run", keeper.begun <= 1, f"{keeper.run_id} began {keeper.begun} times")


def _interrupted_once(events: tuple[EventEnvelope, ...], keepers: list[SimKeeper]) -> None:
    """No interrupt goes in twice, and what the log says came of each is so."""
    got = [id_.removeprefix(INTERRUPT).partition(" ")[0] for keeper in keepers for id_ in keeper.interrupts]
    hold("interrupted once", len(got) == len(set(got)), f"sent twice: {got}")
    wanted, settled = set[str](), list[str]()
    for event in events:
        match read_event(event):
            case InterruptRequested() as said:
                wanted.add(said.interrupt_id)
            case InterruptSent() as said:
                hold("interrupted once", said.interrupt_id in got, f"{said.interrupt_id} was never sent")
            case InterruptNotTaken() as said:
                hold("interrupted once", said.interrupt_id not in got, f"{said.interrupt_id} was sent")
                settled.append(said.interrupt_id)
            case SessionInterrupted() | InterruptUncertain() as said:
                settled.append(said.interrupt_id)
            case _:
                continue
    hold("interrupted once", sorted(wanted) == sorted(settled), f"of {wanted} these are settled: {settled}")
