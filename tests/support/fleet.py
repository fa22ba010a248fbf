"""Real agent programs as sessions of one real daemon: many at once, each followed to its end by the log.

The daemon, its runs and the scripted model share a network that has nothing but its loopback, where the
machine allows one (tests.support.programs.alone). The daemon itself bounds how many run at once.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from moduprompt.client import Client, Endpoint, Loss
from moduprompt.domain.approval.events import ApprovalAsked
from moduprompt.domain.decider import Command, Event
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.registry import read_event
from moduprompt.domain.run.commands import StopRun
from moduprompt.domain.run.events import RunExited, RunRequested, RunStarted
from moduprompt.domain.session.commands import AgentSpec, CloseSession, SpawnSession
from moduprompt.domain.task.commands import CreateTask, StartTask
from moduprompt.domain.task.view import TaskItem
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.domain.worktree.events import WorktreeCreated
from moduprompt.keeper import processes
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    ProjectId,
    RunId,
    SessionId,
    TaskId,
    WorkspaceId,
    decode_event,
)
from tests.support.daemon import Place, daemon_place
from tests.support.deadline import eventually_async
from tests.support.git_repository import Repository, make_repository
from tests.support.killing import keepers
from tests.support.model_server import running_model
from tests.support.programs import DRIVEN, KNOWN, alone, beside, with_programs

E = TypeVar("E", bound=Event)

# Two cores: a third and a fourth program use them while others wait for their model.
FEW_AT_ONCE: Final = "live_runs_max = 4\n"
# No run takes a tenth of it; a busy machine gets the benefit of the doubt, and a hang names itself.
RUN_S_MAX: Final = 400.0
NOWHERE: Final = (
    "http://127.0.0.1:9"  # discard: nobody listens there in a network of our own, and hardly elsewhere
)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One session with its task, its first run and its worktree."""

    id: SessionId
    task_id: TaskId
    run_id: RunId
    worktree: Path


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How its run ended: by the log, by its task, and by what is left on the machine in that moment."""

    exited: RunExited
    task: TaskItem
    left: tuple[str, ...]


class Fleet:
    """One daemon, its project, and what its log has said of each session so far."""

    def __init__(self, client: Client, *, place: Place, repository: Repository) -> None:
        self.client = client
        self.place = place
        self.repository = repository
        self.workspace_id = WorkspaceId("")
        self.project_id = ProjectId("")
        # By subject; of a run by its session too, and of what its program asks by the run.
        self._heard: defaultdict[str, list[Event]] = defaultdict(list)
        self._news = asyncio.Condition()

    async def prepare(self) -> None:
        """A workspace, and a project over the repository."""
        made = await self.client.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="fleet"))
        self.workspace_id = WorkspaceId(decode_event(made.events[0]).workspace_id)
        project = CreateProject(
            workspace_id=self.workspace_id, name="paint", repository=str(self.repository.path)
        )
        self.project_id = ProjectId(await self._made(project))

    async def listen(self) -> None:
        """Follow the log, for ever."""
        async with aclosing(self.client.events(self.workspace_id)) as events:
            async for envelope in events:
                event = read_event(envelope)
                if event is None:
                    continue
                async with self._news:
                    self._heard[envelope.subject.id].append(event)
                    if isinstance(event, RunRequested):
                        self._heard[event.session_id].append(event)
                    if isinstance(event, ApprovalAsked):
                        self._heard[event.run_id].append(event)
                    self._news.notify_all()

    async def spawn(
        self, name: str, *, program: str, prompt: str | None, words: tuple[str, ...] | None = None
    ) -> Session:
        """A session on a task of its own that is under way, as soon as its run is asked for.

        `program`: one that we know how to lead to the model, else an adapter's name.
        """
        known = DRIVEN.get(program)
        task = CreateTask(workspace_id=self.workspace_id, project_id=self.project_id, title=name)
        task_id = TaskId(await self._made(task))
        await self.client.submit(StartTask(workspace_id=self.workspace_id, task_id=task_id))
        spawn = SpawnSession(
            workspace_id=self.workspace_id,
            project_id=self.project_id,
            name=name,
            agent=AgentSpec(
                adapter=known.adapter if known else program,
                argv=words if words is not None else known.words if known else (),
            ),
            prompt=prompt,
            task_id=task_id,
        )
        session_id = SessionId(await self._made(spawn))
        requested = await self.first(RunRequested, of=session_id)
        created = await self.first(WorktreeCreated, of=requested.worktree_id or "")
        return Session(id=session_id, task_id=task_id, run_id=requested.run_id, worktree=Path(created.path))

    async def ended(self, session: Session) -> Ended:
        """How its run ended, and what there was left when the log said so."""
        exited = await self.first(RunExited, of=session.run_id)
        left = tuple(sorted({each.name for each in living(session, daemon=self.place.pid)}))

        async def has_no_keeper() -> bool:
            return not keepers(session.run_id)

        await eventually_async(has_no_keeper)
        task = await self.client.get(TaskItem, session.task_id, workspace_id=self.workspace_id)
        return Ended(exited=exited, task=task, left=left)

    async def stop(self, session: Session) -> None:
        """As a person would."""
        await self.client.submit(StopRun(workspace_id=self.workspace_id, run_id=session.run_id))

    async def close(self, session: Session) -> None:
        """It begins nothing more."""
        await self.client.submit(CloseSession(workspace_id=self.workspace_id, session_id=session.id))

    async def leader(self, session: Session) -> int:
        """The process that its keeper started."""
        return (await self.first(RunStarted, of=session.run_id)).pid

    async def first(self, kind: type[E], *, of: str) -> E:
        """The first event of this kind about this subject, as soon as the log has it."""
        async with asyncio.timeout(RUN_S_MAX):
            async with aclosing(self.every(kind, of=of)) as found:
                async for event in found:
                    return event
        raise AssertionError("BUG: what the log says has no end")

    async def every(self, kind: type[E], *, of: str) -> AsyncGenerator[E]:
        """The events of this kind about this subject, each as soon as the log has it."""
        seen = 0
        while True:
            async with self._news:
                while len(self._heard[of]) == seen:
                    await self._news.wait()
                fresh = self._heard[of][seen:]
            seen += len(fresh)
            for event in fresh:
                if isinstance(event, kind):
                    yield event

    def heard(self, of: str) -> tuple[Event, ...]:
        """What the log has said about this subject so far, in its order."""
        return tuple(self._heard[of])

    async def _made(self, command: Command) -> str:
        """What a create made."""
        return decode_event((await self.client.submit(command)).events[0]).subject.id


def living(session: Session, *, daemon: int) -> list[processes.Process]:
    """Every process of its run: by the mark in its environment, or by where it works.

    Without those of the daemon, whose git looks into worktrees; keepers and programs are none of its family.
    """
    marked = {each.pid: each for each in processes.marked(f"MP_RUN={session.run_id}")}
    inside = (processes.inspect(pid) for pid in _working_in(session.worktree) if not _descends(pid, daemon))
    return [*marked.values(), *(each for each in inside if each and each.is_alive and each.pid not in marked)]


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # gone meanwhile
            return True
    return pid == ancestor


def _working_in(folder: Path) -> Iterator[int]:
    for each in Path("/proc").iterdir():
        with suppress(OSError):
            if each.name.isdigit() and (each / "cwd").readlink().is_relative_to(folder):
                yield int(each.name)


@contextmanager
def offline_daemon(*, settings: str = FEW_AT_ONCE, address: str | None = None) -> Generator[Place]:
    """A daemon that knows the programs, and the way to their model. `settings`: its config.toml."""
    with daemon_place() as place, running_model(place.root, start=alone()) as model:
        _set_up(place, model.address if address is None else address, settings=settings)
        place.within = tuple(beside(model))
        place.start_daemon()
        yield place


@asynccontextmanager
async def fleet(*, settings: str = FEW_AT_ONCE, address: str | None = None) -> AsyncGenerator[Fleet]:
    """The same with a project, and somebody who follows its log."""
    with offline_daemon(settings=settings, address=address) as place:
        repository = make_repository(place.root / "repository", home=place.home)
        found = _endpoint(place)

        async def again(_loss: Loss) -> Endpoint | None:
            return _endpoint(place) if place.daemon_file.exists() else None

        async with (
            Client(token=found.token, socket=found.socket, reconnect=again) as client,
            asyncio.TaskGroup() as tasks,
        ):
            own = Fleet(client, place=place, repository=repository)
            await own.prepare()
            listening = tasks.create_task(own.listen())
            yield own
            listening.cancel()


def _endpoint(place: Place) -> Endpoint:
    written = json.loads(place.daemon_file.read_text())
    return Endpoint(token=written["token"], socket=written["socket"])


def _set_up(place: Place, address: str, *, settings: str) -> None:
    place.environ["PATH"] = with_programs(place.environ["PATH"])
    for known in KNOWN.values():
        place.environ.update(known.variables)
        place.environ[known.address_in] = address + known.address_end
    folder = place.home / ".config" / "moduprompt"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(settings)
