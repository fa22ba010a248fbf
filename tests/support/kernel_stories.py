"""Random lives of a whole kernel, from a seed: several clients, repeats, nonsense, faults and restarts.

The same seed tells the same story on every log, so that what two adapters hold can be compared.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import msgspec

from moduprompt.domain.decider import Command
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.project.commands import ArchiveProject, CreateProject, RenameProject
from moduprompt.domain.session.commands import AgentSpec, CloseSession, PromptSession, SpawnSession
from moduprompt.domain.task.commands import (
    AdvanceStage,
    AssignTask,
    CancelTask,
    CompleteTask,
    CreateTask,
    FailTask,
    PauseTask,
    ResumeTask,
    RetryTask,
    SetDeadline,
    StartTask,
)
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Accepted,
    Actor,
    Answer,
    Code,
    Micros,
    ProjectId,
    SessionId,
    TaskId,
    WorkspaceId,
    encode,
    to_timestamp,
)
from tests.support.deadline import turns
from tests.support.domain import NOW, an_id
from tests.support.kernel import House, events_of

AGENT = AgentSpec(adapter="command", argv=("true",))
NOBODY = an_id(0xEEEE)
Known = dict[str, list[str]]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One command as a client sent it, and its first answer when it was a yes."""

    command: Command
    actor: Actor
    key: str
    expected_version: int | None = None


class Story:
    """What the clients know, and what they were told."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.known: Known = {"workspace": [], "project": [], "session": [], "task": []}
        self.home: dict[str, WorkspaceId] = {}
        self.told: list[tuple[Asked, Accepted]] = []
        self._keys = 0

    async def step(self, house: House, *, at_once: int) -> None:
        """Some commands at the same time, then what they taught us."""
        asked = [self.next_asked(house.owner) for _ in range(at_once)]
        answers = await asyncio.gather(*(ask(house, each) for each in asked))
        for each, answer in zip(asked, answers, strict=True):
            self.learn(each, answer)
        house.clock.later(self.random.choice((0, 0, 0.5, 3, 40, -20)))
        await turns(20)

    def next_asked(self, owner: Actor) -> Asked:
        """What one of the clients does next."""
        roll = self.random
        if self.told and roll.random() < 0.1:
            return roll.choice(self.told)[0]
        self._keys += 1
        key = f"key-{self._keys}"
        if self.told and roll.random() < 0.05:
            key = roll.choice(self.told)[0].key
        session = self._any("session")
        actor = owner if roll.random() < 0.85 else Actor(kind="session", id=session)
        expected = None if roll.random() < 0.8 else roll.randrange(4)
        return Asked(command=self._command(), actor=actor, key=key, expected_version=expected)

    def _command(self) -> Command:
        if not self.known["workspace"] or self.random.random() < 0.02:
            return CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="w")
        ws = WorkspaceId(self._any("workspace"))
        if not self.known["project"]:
            return CreateProject(workspace_id=ws, name=self._name(), repository="/srv/r")
        kind = self.random.choice(("workspace", "project", "session", "task", "task", "task"))
        makers = {
            "workspace": lambda: RenameWorkspace(workspace_id=ws, name=self._name()),
            "project": lambda: self._of_project(ws),
            "session": lambda: self._of_session(ws),
            "task": lambda: self._of_task(ws),
        }
        return makers[kind]()

    def _of_project(self, ws: WorkspaceId) -> Command:
        project_id = ProjectId(self._any("project"))
        home = self.home.get(project_id, ws)
        return self.random.choice(
            (
                CreateProject(workspace_id=ws, name=self._name(), repository=f"/srv/{self._name()}"),
                RenameProject(workspace_id=home, project_id=project_id, name=self._name()),
                RenameProject(workspace_id=ws, project_id=project_id, name=self._name()),
                ArchiveProject(workspace_id=ws, project_id=ProjectId(NOBODY)),
            )
        )

    def _of_session(self, ws: WorkspaceId) -> Command:
        session_id, project_id = SessionId(self._any("session")), ProjectId(self._any("project"))
        home, ws = self.home.get(project_id, ws), self.home.get(session_id, ws)
        parent = session_id if self.random.random() < 0.4 and session_id != NOBODY else None
        return self.random.choice(
            (
                SpawnSession(
                    workspace_id=home,
                    project_id=project_id,
                    name=self._name(),
                    agent=AGENT,
                    parent_session_id=parent,
                    place=self.random.choice(("none", "new_worktree")),
                ),
                PromptSession(workspace_id=ws, session_id=session_id, prompt=self._name()),
                CloseSession(workspace_id=ws, session_id=session_id),
            )
        )

    def _of_task(self, ws: WorkspaceId) -> Command:
        task_id, project_id = TaskId(self._any("task")), ProjectId(self._any("project"))
        home, ws = self.home.get(project_id, ws), self.home.get(task_id, ws)
        due = to_timestamp(Micros(NOW + self.random.randrange(600) * 1_000_000))
        if not self.known["task"] or self.random.random() < 0.2:
            return CreateTask(workspace_id=home, project_id=project_id, title=self._name())
        return self.random.choice(
            (
                StartTask(workspace_id=ws, task_id=task_id),
                AssignTask(workspace_id=ws, task_id=task_id, session_id=SessionId(self._any("session"))),
                AdvanceStage(workspace_id=ws, task_id=task_id),
                CompleteTask(workspace_id=ws, task_id=task_id),
                FailTask(workspace_id=ws, task_id=task_id, failure=FailureClass.TIMEOUT),
                RetryTask(workspace_id=ws, task_id=task_id),
                PauseTask(workspace_id=ws, task_id=task_id),
                ResumeTask(workspace_id=ws, task_id=task_id),
                SetDeadline(workspace_id=ws, task_id=task_id, due_at=due),
                CancelTask(workspace_id=ws, task_id=task_id),
            )
        )

    def learn(self, asked: Asked, answer: Answer) -> None:
        """What an answer taught the clients."""
        if not isinstance(answer, Accepted):
            return
        self.told.append((asked, answer))
        for event in events_of(answer):
            if event.subject.kind in self.known and event.subject.id not in self.home:
                self.known[event.subject.kind].append(event.subject.id)
                self.home[event.subject.id] = event.workspace_id

    def _any(self, kind: str) -> str:
        return self.random.choice(self.known[kind][-6:] or [NOBODY])

    def _name(self) -> str:
        return self.random.choice("abcdefgh")


async def ask(house: House, asked: Asked) -> Answer:
    """As it was asked; a kernel that is unavailable is asked again, as clients do."""
    for _ in range(50):
        answer = await house.submit(
            asked.command, actor=asked.actor, key=asked.key, expected_version=asked.expected_version
        )
        if isinstance(answer, Accepted) or answer.rejection.code is not Code.UNAVAILABLE:
            return answer
        await turns(5)
    raise AssertionError(f"never answered: {asked}")


async def holds(house: House, story: Story, *, rebuilt: Callable[[], Awaitable[dict[str, bytes]]]) -> None:
    """The invariants: gapless and chained, replay equals state, views equal a rebuild, answers stand."""
    for head in await house.log.heads():
        live = await house.kernel.find(head.workspace_id)
        assert live is not None
        assert (live.seq, live.head_hash) == (head.seq, head.head_hash)
        stored = await house.stored(head.workspace_id)
        assert [event.seq_global for event in stored] == list(range(1, head.seq + 1))
        times = [event.timestamp for event in stored]
        assert times == sorted(times)
    hashes = {ledger.workspace_id: ledger.state_hash().encode() for ledger in house.kernel.cabinet.ledgers()}
    assert await rebuilt() == hashes
    for asked, answer in story.told:
        again = await house.submit(asked.command, actor=asked.actor, key=asked.key)
        assert encode(again) == encode(answer)
