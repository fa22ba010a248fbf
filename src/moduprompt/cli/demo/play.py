"""The plot: three sessions, one task through five stages, one question, one gate, one merge.

Each order carries a key of its own, and the SDK repeats it under that key over a daemon
that died and came back; what happened is read from the stream alone. So the plot goes on
where it was, and nothing in it happens twice.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.cli.demo import scripts
from moduprompt.cli.demo.follower import Follower
from moduprompt.cli.demo.repository import Ground
from moduprompt.cli.faults import failed
from moduprompt.client import Client
from moduprompt.domain.approval.view import ApprovalItem
from moduprompt.domain.decider import Command
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import AgentSpec, ForkSession, SpawnSession
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.commands import AdvanceStage, CreateTask, StartTask
from moduprompt.domain.task.view import TaskItem
from moduprompt.domain.worktree.commands import CommitWorktree
from moduprompt.domain.worktree.view import WorktreeItem
from moduprompt.protocol import (
    Accepted,
    Code,
    ProjectId,
    SessionId,
    TaskId,
    WorkspaceId,
    WorktreeId,
    decode_event,
)

TASK: Final = "Give the repository a page that welcomes newcomers."
ANSWERS_MAX: Final = 50  # to one program's questions: one that asks for ever must not keep us for ever
GLANCE_S: Final = 1.5  # how long a person may look at what waits before the demo plays the owner's part

Order = Callable[[Command], Awaitable[Accepted]]
Say = Callable[[Sequence[str]], Awaitable[None]]


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo plays with. `agent`: a program that knows nothing of the plot; None: our own, with its scripts."""

    workspace_id: WorkspaceId
    project_id: ProjectId
    ground: Ground
    scripts_dir: Path
    agent: AgentSpec | None
    prompt: str | None  # instead of ours
    is_watched: bool


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    task_id: TaskId
    session_ids: tuple[SessionId, ...]
    merge_commit: str | None


class Play:
    """One performance."""

    def __init__(self, client: Client, follower: Follower, *, cast: Cast, say: Say) -> None:
        self._client = client
        self._follower = follower
        self._cast = cast
        self._say = say

    async def perform(self) -> Outcome:
        """From the task's making to its merge. Raises CallFailed where an agent or git fails."""
        cast = self._cast
        task_id = TaskId(
            await self._made(
                CreateTask(
                    workspace_id=cast.workspace_id,
                    project_id=cast.project_id,
                    title="Welcome the newcomers",
                    description=cast.prompt or TASK,
                )
            )
        )
        builder = await self._spawn("builder", task_id=task_id, parent=None)
        await self._order(StartTask(workspace_id=cast.workspace_id, task_id=task_id))
        if cast.agent is not None:
            await self._reached(
                task_id, "implement"
            )  # a program that knows nothing of tasks is at work already
        await self._finished(builder, task_id)
        await self._reached(task_id, "test")
        tester = await self._spawn("tester", task_id=task_id, parent=builder)
        rival = await self._fork("rival", source=builder)
        await asyncio.gather(self._finished(tester, task_id), self._finished(rival, task_id))
        await self._reached(task_id, "review")
        merge_commit = await self._merge(task_id, builder)
        return Outcome(task_id=task_id, session_ids=(builder, tester, rival), merge_commit=merge_commit)

    async def _spawn(self, name: str, *, task_id: TaskId, parent: SessionId | None) -> SessionId:
        cast = self._cast
        made = await self._made(
            SpawnSession(
                workspace_id=cast.workspace_id,
                project_id=cast.project_id,
                name=name,
                agent=self._agent(name, task_id=task_id),
                prompt=cast.prompt or TASK,
                parent_session_id=parent,
                task_id=task_id,
            )
        )
        return SessionId(made)

    async def _fork(self, name: str, *, source: SessionId) -> SessionId:
        made = await self._made(
            ForkSession(
                workspace_id=self._cast.workspace_id,
                session_id=source,
                name=name,
                agent=self._agent(name, task_id=None),
                prompt=self._cast.prompt or "Find another way to do the same.",
            )
        )
        return SessionId(made)

    def _agent(self, name: str, *, task_id: TaskId | None) -> AgentSpec:
        cast = self._cast
        if cast.agent is not None:
            return cast.agent
        if name == "builder":
            text = scripts.builder(cast.ground, task_id=task_id or "")
        elif name == "tester":
            text = scripts.tester(cast.ground, task_id=task_id or "")
        else:
            text = scripts.rival(cast.ground)
        path = cast.scripts_dir / f"{name}.toml"
        path.write_bytes(text)
        return AgentSpec(adapter="scripted", argv=(str(path),))

    async def _finished(self, session_id: SessionId, task_id: TaskId) -> None:
        """Its program has ended well and its work is committed; its questions are answered."""
        answered = 0
        while True:
            run = await self._follower.until(lambda: self._turning_point(session_id, task_id))
            if run.status in ("exited", "lost"):
                self._check(run)
                await self._commit(session_id)
                return
            answered += 1
            if answered > ANSWERS_MAX:
                raise failed(
                    Code.VALIDATION_FAILED,
                    f"run {run.id} asked more than {ANSWERS_MAX} questions",
                    hint=f"mpctl run output {run.id}",
                )
            await self._answer(session_id)

    def _turning_point(self, session_id: SessionId, task_id: TaskId) -> RunItem | None:
        """A run that ended or asks; a place that could not be made ends the play."""
        session = self._follower.find(SessionItem, session_id)
        tree = self._follower.find(WorktreeItem, session.worktree_id or "") if session else None
        if session is not None and session.status == "closed":
            raise failed(
                Code.VALIDATION_FAILED,
                f"session {session_id} was closed before its work was done",
                hint=f"mpctl session show {session_id}",
            )
        task = self._follower.find(TaskItem, task_id)
        for run in self._follower.every(RunItem):
            if run.session_id != session_id:
                continue
            waits = run.observed == "waiting_input" and session is not None and not _has_prompts(session)
            if run.status in ("exited", "lost") or waits:
                return run
        if tree is not None and tree.status == "failed":
            raise failed(
                Code.VALIDATION_FAILED,
                f"the worktree of {session_id} failed: {tree.failure}",
                hint=f"mpctl worktree show {tree.id}",
            )
        if task is not None and task.status == "cancelled":
            raise failed(
                Code.VALIDATION_FAILED, f"task {task_id} was cancelled", hint=f"mpctl task show {task_id}"
            )
        return None

    def _check(self, run: RunItem) -> None:
        # Where its adapter judged what it said, its exit code says nothing more.
        is_done = run.code == 0 if run.outcome is None else run.outcome == "succeeded"
        if run.status == "exited" and run.how == "exited" and is_done:
            return
        ended = f"with exit status {run.code}" if run.how == "exited" else f"as {run.how or run.status}"
        known = run.reason or (run.evidence if run.status == "lost" else run.outcome_evidence)
        why = f": {known}" if known else ""
        raise failed(
            Code.VALIDATION_FAILED,
            f"the agent program of run {run.id} ended {ended}{why}",
            hint=f"mpctl run output {run.id}",
            details={"reason": run.failure or run.how or run.status, "run_id": run.id},
        )

    async def _answer(self, session_id: SessionId) -> None:
        await self._glance()
        answer = scripts.ANSWER if self._cast.agent is None else "yes"
        await self._say(("session", "prompt", session_id, answer))
        await self._follower.until(lambda: self._is_past_question(session_id))

    def _is_past_question(self, session_id: SessionId) -> bool | None:
        """The answer is typed, or the program is gone."""
        session = self._follower.find(SessionItem, session_id)
        runs = [run for run in self._follower.every(RunItem) if run.session_id == session_id]
        typed = session is not None and all(p.state in ("submitted", "uncertain") for p in session.prompts)
        asks = any(run.status == "started" and run.observed == "waiting_input" for run in runs)
        over = all(run.status in ("exited", "lost") for run in runs)
        return True if over or (typed and not asks) else None

    async def _commit(self, session_id: SessionId) -> None:
        """Whatever the program left uncommitted belongs to its branch, and the log learns its commits."""
        session = self._follower.find(SessionItem, session_id)
        assert session is not None, "BUG: a session that ran is known"
        tree_id = WorktreeId(session.worktree_id or "")
        message = f"Work of {session.name}"
        await self._order(
            CommitWorktree(workspace_id=self._cast.workspace_id, worktree_id=tree_id, message=message)
        )
        await self._follower.until(lambda: self._is_committed(tree_id))

    def _is_committed(self, tree_id: WorktreeId) -> bool | None:
        tree = self._follower.find(WorktreeItem, tree_id)
        if tree is None or tree.is_committing:
            return None
        if tree.failure is not None and tree.failure.startswith("commit"):
            raise failed(
                Code.VALIDATION_FAILED,
                f"worktree {tree_id} could not be committed: {tree.failure}",
                hint=f"mpctl worktree show {tree_id}",
            )
        return True

    async def _reached(self, task_id: TaskId, stage: str) -> None:
        """The agents propose their stages; where one did not, the owner does."""
        task = self._task(task_id)
        names = [each.name for each in task.stages]
        if task.stage is None or names.index(task.stage) < names.index(stage):
            await self._order(AdvanceStage(workspace_id=self._cast.workspace_id, task_id=task_id, to=stage))
        await self._follower.until(lambda: True if self._task(task_id).stage == stage else None)

    async def _merge(self, task_id: TaskId, builder: SessionId) -> str | None:
        """Propose the merge, be held at its gate, open it as the owner, and see it done."""
        await self._say(("task", "advance", task_id, "--to", "merge"))
        approval = await self._follower.until(lambda: self._waiting_approval(task_id))
        await self._glance()
        await self._say(("approval", "grant", approval.id, "--reason", "granted by the demo"))
        task = await self._follower.until(lambda: self._ended(task_id))
        if task.status != "succeeded":
            raise failed(
                Code.VALIDATION_FAILED,
                f"task {task_id} ended as {task.status}: {task.failure}",
                hint=f"mpctl task show {task_id}",
            )
        session = self._follower.find(SessionItem, builder)
        tree = self._follower.find(WorktreeItem, session.worktree_id or "") if session else None
        return tree.merged_as if tree else None

    def _waiting_approval(self, task_id: TaskId) -> ApprovalItem | None:
        asked = (each for each in self._follower.every(ApprovalItem) if each.task_id == task_id)
        return next((each for each in asked if each.status == "requested"), None)

    def _ended(self, task_id: TaskId) -> TaskItem | None:
        task = self._task(task_id)
        return task if task.status in ("succeeded", "failed", "cancelled") else None

    def _task(self, task_id: TaskId) -> TaskItem:
        task = self._follower.find(TaskItem, task_id)
        assert task is not None, "BUG: the task was made before anything was asked of it"
        return task

    async def _made(self, command: Command) -> str:
        """The id of what a create made, once the stream has told it."""
        accepted = await self._order(command)
        return decode_event(accepted.events[0]).subject.id

    async def _order(self, command: Command) -> Accepted:
        """An order carried out and seen: what follows may rely on it."""
        accepted = await self._client.submit(command)
        await self._follower.until(lambda: True if self._follower.seq >= accepted.seq_global else None)
        return accepted

    async def _glance(self) -> None:
        if self._cast.is_watched:
            await asyncio.sleep(GLANCE_S)


def _has_prompts(session: SessionItem) -> bool:
    return any(prompt.state in ("accepted", "placed") for prompt in session.prompts)


async def call_mpctl(words: Sequence[str], *, flags: Sequence[str]) -> None:
    """A person's part, said as a person would: by `mpctl`, as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "moduprompt.cli.mpctl",
        *words,
        *flags,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    if process.returncode != 0:
        said = complaint.decode("utf-8", "replace").strip()
        raise failed(
            Code.UNKNOWN,
            f"mpctl {' '.join(words)} ended with {process.returncode}: {said}",
            hint="the agents go on: mpctl session tree",
        )
