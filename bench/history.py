"""Long logs, made without a kernel: whole histories of tasks as batches that the storage port takes.

Each event is what the kernel would have written: typed, numbered, chained. So a million of them are
there in half a minute.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from moduprompt.domain.decider import Event
from moduprompt.domain.deciders import DECIDERS
from moduprompt.domain.project.events import ProjectCreated
from moduprompt.domain.task.events import DeadlineSet, StageChanged, TaskCreated, TaskStarted
from moduprompt.domain.task.retries import RetryBudget
from moduprompt.domain.task.stages import DEFAULT_PIPELINE, Stage
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.protocol import (
    Actor,
    Causality,
    CommandId,
    EventEnvelope,
    EventId,
    Micros,
    ProjectId,
    TaskId,
    UserId,
    WorkspaceId,
    encode,
    to_timestamp,
)
from moduprompt.storage.hashing import content_hash, first_hash
from moduprompt.storage.port import Append, StoredEvent

BATCH: Final = 2_000  # events of one append
BEGAN: Final = Micros(1_790_000_000_000_000)  # some day of 2026
KINDS: Final = {decider.noun: decider for decider in DECIDERS}
STAGES: Final = tuple(Stage(name=each.name, kind=each.kind) for each in DEFAULT_PIPELINE)


def an_id(number: int) -> str:
    """A UUIDv7 that says its number."""
    return f"01935450-{number >> 32 & 0xFFFF:04x}-7000-8000-{number & 0xFFFFFFFF:012x}"


class History:
    """One workspace's log as it grows; nothing is kept of what was handed out."""

    def __init__(self, number: int, *, owner_id: str) -> None:
        self.workspace_id = WorkspaceId(an_id(number << 32))
        self.seq = 0
        self.head_hash = first_hash(self.workspace_id)
        self._ids = number << 32
        self._owner = Actor(kind="user", id=owner_id)
        self._versions: dict[str, int] = {}
        self._project_id = ProjectId(self._next())
        self._batch: list[StoredEvent] = []
        self._from = 0

    def begin(self) -> None:
        """A workspace and its project."""
        owner = UserId(self._owner.id)
        self._add(WorkspaceCreated(workspace_id=self.workspace_id, name="scale", owner_id=owner))
        self._add(ProjectCreated(project_id=self._project_id, name="scale"))

    def add_task(self, *, moves: int = 0, deadline: Micros | None = None) -> None:
        """One that is open, and has been moved between its stages so often."""
        task_id = TaskId(self._next())
        self._add(
            TaskCreated(
                task_id=task_id,
                project_id=self._project_id,
                title=f"task {self.seq}",
                stages=STAGES,
                retry=RetryBudget(),
                priority=0,
            )
        )
        if deadline is not None:
            self._add(DeadlineSet(task_id=task_id, due_at=to_timestamp(deadline)))
        if moves:
            self._add(TaskStarted(task_id=task_id, attempt=1))
        for number in range(moves - 1):
            self._add(StageChanged(task_id=task_id, stage=STAGES[number % 2].name))

    def batches(self, *, flush: bool = False) -> Iterator[Append]:
        """What has gathered, in pieces that are whole; with `flush` the last one too."""
        while len(self._batch) >= BATCH or (flush and self._batch):
            part, self._batch = self._batch[:BATCH], self._batch[BATCH:]
            yield Append(
                workspace_id=self.workspace_id,
                expected_seq=self._from,
                epoch=1,
                head_hash=content_hash(part[-1].data),
                events=tuple(part),
            )
            self._from = part[-1].seq

    def _add(self, event: Event) -> None:
        subject = event.subject()
        version = self._versions[subject.id] = self._versions.get(subject.id, 0) + 1
        self.seq += 1
        envelope = EventEnvelope(
            event_id=EventId(self._next()),
            event_type=event.wire,
            timestamp=to_timestamp(Micros(BEGAN + self.seq)),
            actor=self._owner,
            workspace_id=self.workspace_id,
            project_id=self._project_id,
            subject=subject,
            payload=msgspec.Raw(encode(event)),
            schema_version=event.version,
            seq_global=self.seq,
            seq_stream=version,
            trace_id="scale",
            causality=Causality(command_id=CommandId(self._next())),
            prev_hash=self.head_hash,
        )
        data = encode(envelope)
        self.head_hash = content_hash(data)
        self._batch.append(StoredEvent(seq=self.seq, subject_id=subject.id, data=data))

    def _next(self) -> str:
        self._ids += 1
        return an_id(self._ids)
