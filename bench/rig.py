"""A kernel in this process on a real disk, and a log that keeps what it was told to write."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from moduprompt.daemon import ALL_VIEWS
from moduprompt.domain.decider import Command, Observation
from moduprompt.kernel.clock import SystemClock, SystemMint
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ports import Opened
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Accepted,
    Actor,
    ArtifactRef,
    CommandEnvelope,
    ProjectId,
    WorkspaceId,
    decode_command,
    decode_event,
    encode,
)
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.port import Append
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.views import SqliteViews

FOLDER = (
    Path(__file__).resolve().parent.parent / ".bench"
)  # on the disk of the checkout, not on a memory disk


class Scrap:
    """Artifacts that nobody reads again."""

    async def put(self, workspace_id: WorkspaceId, data: bytes) -> ArtifactRef:  # noqa: ARG002 - the port's shape
        """Its name."""
        return content_hash(data)

    async def put_chunks(self, workspace_id: WorkspaceId, chunks: Iterable[bytes]) -> ArtifactRef:
        """Its name."""
        return await self.put(workspace_id, b"".join(chunks))

    async def get(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> bytes | None:  # noqa: ARG002 - the port's shape
        """Nothing."""
        return None

    async def open(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> Opened | None:  # noqa: ARG002 - the port's shape
        """Nothing."""
        return None

    async def erase(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> None:
        """There is nothing."""


class Blind:
    """Sees nothing, for commands that need nothing seen."""

    async def observe(self, command: Command) -> Observation:  # noqa: ARG002 - the port's shape
        """Nothing."""
        return None


class Rig:
    """A kernel with one workspace and one project in it."""

    def __init__(self, kernel: Kernel, mint: SystemMint) -> None:
        self.kernel = kernel
        self._mint = mint
        self._owner = Actor(kind="user", id=kernel.owner_id)
        self.workspace_id = WorkspaceId("")
        self.project_id = ProjectId("")

    async def prepare(self) -> None:
        """The workspace and the project."""
        made = await self.submit(
            self.envelope("workspace.create", workspace_id=SYSTEM_WORKSPACE, name="bench")
        )
        self.workspace_id = decode_event(made.events[0]).workspace_id
        made = await self.submit(
            self.envelope("project.create", workspace_id=self.workspace_id, name="bench")
        )
        self.project_id = ProjectId(decode_event(made.events[0]).subject.id)

    def envelope(self, wire: str, **payload: str) -> bytes:
        """A command as it arrives, under a fresh key."""
        body = {"type": wire, "schema_version": 1, "payload": payload, "trace_id": "bench"}
        return encode({**body, "idempotency_key": self._mint.new_id()})

    def rename(self, name: str) -> bytes:
        """A command with one event: a project is renamed."""
        return self.envelope(
            "project.rename", workspace_id=self.workspace_id, project_id=self.project_id, name=name
        )

    async def submit(self, body: bytes) -> Accepted:
        """Decode, judge, make durable: all that a command costs."""
        envelope = decode_command(body)
        assert isinstance(envelope, CommandEnvelope), f"BUG: {envelope}"
        command_id = self.kernel.new_command_id()
        answer = await self.kernel.submit(
            envelope, actor=self._owner, command_id=command_id, trace_id="bench"
        )
        assert isinstance(answer, Accepted), f"BUG: {answer}"
        return answer


class KeptLog(SqliteLog):
    """The log, which also keeps the batches it wrote, so that a yardstick can write the same rows."""

    kept: list[Append]

    async def append(self, batch: Sequence[Append]) -> None:
        """As the log does."""
        await super().append(batch)
        self.kept.extend(batch)


@asynccontextmanager
async def rig(log_kind: type[SqliteLog] = SqliteLog) -> AsyncGenerator[tuple[Rig, SqliteLog]]:
    """A fresh kernel, and its end."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=FOLDER) as folder:
        event_log = await log_kind.open(Path(folder) / "log.sqlite")
        if isinstance(event_log, KeptLog):
            event_log.kept = []
        view_store = await SqliteViews.open(Path(folder) / "views.sqlite", views=ALL_VIEWS)
        mint = SystemMint(b"bench")
        kernel = Kernel(
            event_log,
            view_store,
            views=ALL_VIEWS,
            clock=SystemClock(),
            mint=mint,
            artifacts=Scrap(),
            observer=Blind(),
        )
        await kernel.start(owner_name="bench", hands=())
        try:
            built = Rig(kernel, mint)
            await built.prepare()
            yield built, event_log
        finally:
            await kernel.stop()
            await view_store.close()
            await event_log.close()
