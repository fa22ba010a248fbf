"""A whole kernel on fakes: a log in memory, a clock that stands, ids that count.

    async with make_kernel() as house:
        made = await house.submit(CreateWorkspace(...))
        house.clock.later(5)

`house.log` is a `GatedLog`: it can be held, and told to fail.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import count

import msgspec
from blake3 import blake3

from moduprompt.domain.decider import Command, Intent, Observation, RepositoryFacts
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import View
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.registry import UPCASTERS, Upcasters
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.kernel.judgement import Wanted
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.ports import Hand, Opened
from moduprompt.kernel.tickets import Ticket
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Accepted,
    Actor,
    Answer,
    ArtifactRef,
    CommandEnvelope,
    EventEnvelope,
    ProjectId,
    RefusedAnswer,
    Rejection,
    WorkspaceId,
    decode_event,
    encode,
)
from moduprompt.storage.memory.log import MemoryLog
from moduprompt.storage.memory.views import MemoryViews
from moduprompt.storage.port import (
    Append,
    EventLog,
    Head,
    KeyRow,
    SnapshotStore,
    StoredEvent,
    ViewStore,
)
from tests.support.clocks import CountingMint, FakeClock
from tests.support.domain import SEEN


class MemoryArtifacts:
    """Bytes by their hash, of each workspace for itself."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    async def put(self, workspace_id: WorkspaceId, data: bytes) -> ArtifactRef:
        """Keep them."""
        ref = ArtifactRef(f"blake3:{blake3(data).hexdigest()}")
        self.kept[workspace_id, ref] = data
        return ref

    async def put_chunks(self, workspace_id: WorkspaceId, chunks: Iterable[bytes]) -> ArtifactRef:
        """Keep all of them."""
        return await self.put(workspace_id, b"".join(chunks))

    async def get(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> bytes | None:
        """The bytes, or None."""
        return self.kept.get((workspace_id, ref))

    async def open(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> Opened | None:
        """All in one chunk, or None."""
        found = self.kept.get((workspace_id, ref))
        return None if found is None else Opened(size=len(found), chunks=iter((found,)))

    async def erase(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> None:
        """Forget them."""
        self.kept.pop((workspace_id, ref), None)


class FixedObserver:
    """Sees the same repository everywhere."""

    def __init__(self, seen: Observation = SEEN) -> None:
        self.seen = seen

    async def observe(self, command: Command) -> Observation:
        """What it always sees."""
        seen = self.seen
        repository = getattr(command, "repository", None)
        if isinstance(seen, RepositoryFacts) and isinstance(repository, str):
            return msgspec.structs.replace(seen, path=repository)
        return seen


class GatedLog:
    """A log whose appends can be held back, and made to fail before or after they happened."""

    def __init__(self, inner: EventLog) -> None:
        self.inner = inner
        self.appended: list[list[Append]] = []
        self.started = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._failures: list[tuple[Exception, bool]] = []
        self.read_failure: Exception | None = None
        self.claim_failure: Exception | None = None

    def hold(self) -> None:
        """Appends wait from now on."""
        self._open.clear()
        self.started.clear()

    def release(self) -> None:
        """They go on."""
        self._open.set()

    def fail_next(self, fault: Exception, *, after_writing: bool = False) -> None:
        """The next append raises; whether it reached the disk is up to the test."""
        self._failures.append((fault, after_writing))

    def failures_left(self) -> int:
        """How many of the failures have not happened yet."""
        return len(self._failures)

    async def append(self, batch: Sequence[Append]) -> None:
        """When it may."""
        self.started.set()
        await self._open.wait()
        if self._failures:
            fault, after_writing = self._failures.pop(0)
            if after_writing:
                await self.inner.append(batch)
            raise fault
        await self.inner.append(batch)
        self.appended.append(list(batch))

    async def claim(self, workspace_id: WorkspaceId, *, held: int | None = None) -> Head:
        """As below, unless it was told to fail."""
        self._may_read()
        if self.claim_failure is not None:
            raise self.claim_failure
        return await self.inner.claim(workspace_id, held=held)

    async def heads(self) -> list[Head]:
        """As below."""
        self._may_read()
        return await self.inner.heads()

    async def read(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[StoredEvent]:
        """As below."""
        self._may_read()
        return await self.inner.read(workspace_id, after=after, limit=limit)

    async def read_stream(
        self, workspace_id: WorkspaceId, *, subject_id: str, after: int, limit: int
    ) -> list[StoredEvent]:
        """As below."""
        self._may_read()
        return await self.inner.read_stream(workspace_id, subject_id=subject_id, after=after, limit=limit)

    async def find_key(self, workspace_id: WorkspaceId, *, actor: str, key: str) -> KeyRow | None:
        """As below."""
        self._may_read()
        return await self.inner.find_key(workspace_id, actor=actor, key=key)

    async def close(self) -> None:
        """As below."""
        await self.inner.close()

    def _may_read(self) -> None:
        if self.read_failure is not None:
            raise self.read_failure


class FakeHand:
    """Notes what it is asked for; does as the test says."""

    def __init__(self, *kinds: type[Intent]) -> None:
        self._kinds = kinds
        self.asked: list[Intent] = []
        self.does: Callable[[Intent], Awaitable[bool]] = self._at_once

    @property
    def handles(self) -> tuple[type[Intent], ...]:
        """Its kinds."""
        return self._kinds

    async def carry_out(self, intent: Intent) -> bool:
        """Noted, then done."""
        self.asked.append(intent)
        return await self.does(intent)

    def names(self) -> list[str]:
        """What was asked for, in order."""
        return [intent.name for intent in self.asked]

    async def _at_once(self, intent: Intent) -> bool:  # noqa: ARG002
        return True


def unheard(ledger: Ledger, wanted: tuple[Wanted, ...]) -> None:
    """For a cabinet that nobody listens to."""


class House:
    """A running kernel and what it stands on."""

    def __init__(self, kernel: Kernel, *, log: GatedLog, views: ViewStore, clock: FakeClock) -> None:
        self.kernel = kernel
        self.log = log
        self.views = views
        self.clock = clock
        self._keys = count(1)

    @property
    def owner(self) -> Actor:
        """The local owner."""
        return Actor(kind="user", id=self.kernel.owner_id)

    async def submit(
        self,
        command: Command,
        *,
        actor: Actor | None = None,
        key: str | None = None,
        expected_version: int | None = None,
        trace_id: str = "trace",
    ) -> Answer:
        """As a client would; a key of its own unless one is given."""
        envelope = self._envelope(command, key=key, expected_version=expected_version, trace_id=trace_id)
        return await self.send(envelope, actor=actor)

    def ticket(self, command: Command, *, key: str | None = None) -> Ticket:
        """What the owner's command is on its way."""
        envelope = self._envelope(command, key=key)
        command_id = self.kernel.new_command_id()
        return Ticket(envelope, actor=self.owner, command_id=command_id, trace_id="trace")

    def _envelope(
        self,
        command: Command,
        *,
        key: str | None,
        expected_version: int | None = None,
        trace_id: str = "trace",
    ) -> CommandEnvelope:
        return CommandEnvelope(
            type=command.wire,
            schema_version=command.version,
            payload=msgspec.Raw(encode(command)),
            idempotency_key=key or f"key-{next(self._keys)}",
            expected_version=expected_version,
            trace_id=trace_id,
        )

    async def send(self, envelope: CommandEnvelope, *, actor: Actor | None = None) -> Answer:
        """An envelope as it is."""
        return await self.kernel.submit(
            envelope,
            actor=actor or self.owner,
            command_id=self.kernel.new_command_id(),
            trace_id=envelope.trace_id or "trace",
        )

    async def accept(
        self, command: Command, *, actor: Actor | None = None, key: str | None = None
    ) -> Accepted:
        """As `submit`, and it must be accepted."""
        return accepted(await self.submit(command, actor=actor, key=key))

    async def workspace(self, name: str = "w") -> WorkspaceId:
        """A new one."""
        made = await self.accept(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name=name))
        return events_of(made)[0].workspace_id

    async def project(self, workspace_id: WorkspaceId, name: str = "p") -> ProjectId:
        """A new one with a repository."""
        made = await self.accept(
            CreateProject(workspace_id=workspace_id, name=name, repository=f"/srv/{name}")
        )
        return ProjectId(events_of(made)[0].subject.id)

    async def stored(self, workspace_id: WorkspaceId) -> list[EventEnvelope]:
        """The whole log of a workspace."""
        return [
            decode_event(each.data) for each in await self.log.inner.read(workspace_id, after=0, limit=10_000)
        ]


def accepted(answer: Answer) -> Accepted:
    """The answer, which must be a yes."""
    assert isinstance(answer, Accepted), answer
    return answer


def rejection(answer: Answer) -> Rejection:
    """Why not; it must be a no."""
    assert isinstance(answer, RefusedAnswer), answer
    return answer.rejection


def reason(answer: Answer) -> str:
    """Code and reason in one word, for tables."""
    why = rejection(answer)
    said = (why.details or {}).get("reason")
    return f"{why.code.value}/{said}" if isinstance(said, str) else why.code.value


def events_of(answer: Answer) -> list[EventEnvelope]:
    """The events of an answer."""
    return [decode_event(each) for each in answer.events]


@asynccontextmanager
async def make_kernel(
    *,
    log: EventLog | None = None,
    views_store: ViewStore | None = None,
    views: tuple[View, ...] = VIEWS,
    snapshots: SnapshotStore | None = None,
    clock: FakeClock | None = None,
    mint: CountingMint | None = None,
    observer: FixedObserver | None = None,
    hands: tuple[Hand, ...] = (),
    upcasters: Upcasters = UPCASTERS,
) -> AsyncGenerator[House]:
    """A kernel that runs until the block ends. What it stands on is left open, to be used again."""
    gated = log if isinstance(log, GatedLog) else GatedLog(log or MemoryLog())
    store = views_store or MemoryViews()
    time = clock or FakeClock()
    kernel = Kernel(
        gated,
        store,
        views=views,
        snapshots=snapshots,
        clock=time,
        mint=mint or CountingMint(),
        artifacts=MemoryArtifacts(),
        observer=observer or FixedObserver(),
        upcasters=upcasters,
    )
    await kernel.start(owner_name="owner", hands=hands)
    try:
        yield House(kernel, log=gated, views=store, clock=time)
    finally:
        gated.release()
        await kernel.stop()
