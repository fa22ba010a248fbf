"""The command API against a model of the contract: whatever is sent, in whatever order, over restarts.

Commands are drawn from their types, right and wrong; keys are used again, clocks are set, the kernel is closed and
opened. Some lives are the same everywhere and some are fresh; one that fails is printed step by step.
"""

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from moduprompt.domain.decider import Command
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.registry import COMMANDS
from moduprompt.domain.session.commands import AgentSpec, SpawnSession
from moduprompt.domain.task.commands import CreateTask
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.protocol import SYSTEM_WORKSPACE, Actor, CommandEnvelope, ProjectId, WorkspaceId, encode
from moduprompt.storage.memory.log import MemoryLog
from moduprompt.storage.memory.views import MemoryViews
from moduprompt.storage.port import EventLog, ViewStore
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.views import SqliteViews
from tests.support.clocks import CountingMint, FakeClock
from tests.support.contract_model import Model, Said
from tests.support.deadline import eventually_async, turns
from tests.support.domain import OTHER, an_id
from tests.support.drawn_commands import drawn, wrong
from tests.support.kernel import House, make_kernel

T = TypeVar("T")
KINDS = sorted(COMMANDS.values(), key=lambda kind: kind.wire)
KEYS = tuple(f"key-{number}" for number in range(6))  # few, so that they meet again
AGENT = AgentSpec(adapter="command", argv=("true",))
NOBODY = an_id(0xEEEE)
STEPS = 40  # of one life


class Life(RuleBasedStateMachine):
    """One kernel, opened again and again on one log."""

    is_on_disk: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory()
        self._clock, self._mint = FakeClock(), CountingMint()
        self._log: EventLog = MemoryLog()
        self._views: ViewStore = MemoryViews()
        self._ids = [NOBODY, str(SYSTEM_WORKSPACE)]
        self._sessions: list[str] = []
        self._fresh = 0
        self._said: list[tuple[CommandEnvelope, Said, Actor]] = []
        self._stack = AsyncExitStack()
        self._run(self._open())
        self._model = Model(self._house.kernel.owner_id)
        self._run(self._absorb())

    def teardown(self) -> None:
        self._run(self._close())
        self._runner.close()
        self._folder.cleanup()

    @initialize()
    def begin(self) -> None:
        """A workspace with one of each, so that most of what is drawn is about something."""
        self._send(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="w"))
        ws = WorkspaceId(self._ids[-1])
        self._send(CreateProject(workspace_id=ws, name="p", repository="/srv/p"))
        project = ProjectId(self._ids[-1])
        self._send(CreateTask(workspace_id=ws, project_id=project, title="t"))
        self._send(SpawnSession(workspace_id=ws, project_id=project, name="s", agent=AGENT, place="none"))

    @rule(data=st.data())
    def order(self, data: st.DataObject) -> None:
        """Any command that there is, well-formed; mostly with a key of its own."""
        kind = data.draw(st.sampled_from(KINDS))
        command: Command = data.draw(drawn(kind, self._ids[:1] + self._ids[2:]))
        key = data.draw(st.none() | st.sampled_from(KEYS)) or self._fresh_key()
        expected = data.draw(st.none() | st.integers(0, 4))
        self._send(command, actor=self._actor(data), key=key, expected=expected)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Word for word, as a client that missed the answer does; or the key for something else."""
        envelope, said, actor = data.draw(st.sampled_from(self._said))
        if data.draw(st.booleans()):
            self._submit(envelope, said, actor=actor)
        elif said.key is not None:
            other = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="other")
            self._send(other, key=said.key)

    @rule(data=st.data())
    def spoil(self, data: st.DataObject) -> None:
        """A payload that does not fit, a type that is none, no key; and perhaps several of these at once."""
        command: Command = data.draw(drawn(data.draw(st.sampled_from(KINDS)), self._ids))
        payload = encode(data.draw(wrong(command))) if data.draw(st.booleans()) else None
        type_ = "task.explode" if data.draw(st.booleans()) else None
        key = None if data.draw(st.booleans()) else self._fresh_key()
        self._send(command, actor=self._actor(data), key=key, payload=payload, type_=type_, has_key=False)

    @rule(seconds=st.sampled_from((0.3, 7, 4_000, 86_400, -3, -86_400)))
    def set_clock(self, seconds: float) -> None:
        """Time passes, or somebody sets the clock; what is due fires."""
        self._clock.later(seconds)
        self._run(self._absorb())

    @rule()
    def restart(self) -> None:
        """Closed in order and opened again."""
        self._run(self._close())
        self._run(self._open())
        self._run(self._absorb())

    @invariant()
    def what_was_told_is_what_is_stored(self) -> None:
        """Byte for byte, in every workspace."""
        self._run(self._absorb())

    def _actor(self, data: st.DataObject) -> Actor:
        owner = self._house.owner
        session = data.draw(st.sampled_from([*self._sessions, NOBODY]))
        return data.draw(st.sampled_from([owner, owner, owner, OTHER, Actor(kind="session", id=session)]))

    def _fresh_key(self) -> str:
        self._fresh += 1
        return f"fresh-{self._fresh}"

    def _send(
        self,
        command: Command,
        *,
        actor: Actor | None = None,
        key: str | None = None,
        expected: int | None = None,
        payload: bytes | None = None,
        type_: str | None = None,
        has_key: bool = True,
    ) -> None:
        who = actor or self._house.owner
        said = Said(
            actor=f"{who.kind}:{who.id}",
            actor_kind=who.kind,
            type=type_ or command.wire,
            version=command.version,
            payload=payload or encode(command),
            key=key or (self._fresh_key() if has_key else None),
            expected=expected,
            subject=f"{command.kind}:{command.subject_id()}" if command.key else None,
            home=command.workspace_id,
            is_known=type_ is None,
            is_well_formed=payload is None,
            is_internal=command.internal,
            trace_id=f"trace-{self._fresh}",
        )
        envelope = CommandEnvelope(
            type=said.type,
            schema_version=said.version,
            payload=msgspec.Raw(said.payload),
            idempotency_key=said.key,
            expected_version=expected,
            trace_id=said.trace_id,
        )
        self._said.append((envelope, said, who))
        self._submit(envelope, said, actor=who)

    def _submit(self, envelope: CommandEnvelope, said: Said, *, actor: Actor) -> None:
        answer = self._run(self._house.send(envelope, actor=actor))
        self._model.answers(said, encode(answer), now=self._clock.now())
        for event in answer.events:
            subject = msgspec.json.decode(event, type=dict[str, Any])["subject"]
            if subject["kind"] != "command" and subject["id"] not in self._ids:
                self._ids.append(subject["id"])
                self._sessions += [subject["id"]] if subject["kind"] == "session" else []

    async def _open(self) -> None:
        if self.is_on_disk:
            folder = Path(self._folder.name)
            self._log = await SqliteLog.open(folder / "log.sqlite")
            self._stack.push_async_callback(self._log.close)
            self._views = await SqliteViews.open(folder / "views.sqlite", views=VIEWS)
            self._stack.push_async_callback(self._views.close)
        self._house: House = await self._stack.enter_async_context(
            make_kernel(log=self._log, views_store=self._views, clock=self._clock, mint=self._mint)
        )

    async def _close(self) -> None:
        await self._stack.aclose()

    async def _absorb(self) -> None:
        await eventually_async(self._is_quiet)
        for head in await self._house.log.heads():
            stored = await self._house.log.read(head.workspace_id, after=0, limit=10_000)
            assert (head.seq, len(stored)) == (len(stored), head.seq)
            self._model.absorb(head.workspace_id, [bytes(each.data) for each in stored])

    async def _is_quiet(self) -> bool:
        before = [head.seq for head in await self._house.log.heads()]
        await turns(20)
        return not self._house.kernel.waiting() and before == [
            head.seq for head in await self._house.log.heads()
        ]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


class LifeOnDisk(Life):
    """The same on SQLite."""

    is_on_disk = True


@pytest.mark.parametrize("seeds", ["fixed", "fresh"])
@pytest.mark.parametrize(("life", "lives"), [(Life, 12), (LifeOnDisk, 4)])
def test_the_kernel_answers_as_the_contract_says(life: type[Life], lives: int, seeds: str) -> None:
    hurry = settings(
        max_examples=lives,
        stateful_step_count=STEPS,
        derandomize=seeds == "fixed",
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(life, settings=hurry)  # pyright: ignore[reportUnknownMemberType]
