"""What the kernel needs from outside, each as narrow as it can be."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from moduprompt.domain.decider import Command, Intent, Observation
from moduprompt.protocol import ArtifactRef, Micros, RunId, WorkspaceId


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """How much work there is: orders that wait for an answer, and how many ever got one."""

    waiting: int
    answered: int


class Clock(Protocol):
    """Time. The only clock of the daemon; a simulation has its own."""

    def now(self) -> Micros:
        """Microseconds since 1970. May stand still or jump back; events never do."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long by this clock."""
        ...


class Mint(Protocol):
    """Where ids and secrets come from."""

    def new_id(self) -> str:
        """A fresh UUIDv7."""
        ...

    def run_token(self, workspace_id: WorkspaceId, run_id: RunId) -> str:
        """The token of a run: the same at every asking, known to nobody else."""
        ...


class Opened(NamedTuple):
    """An artifact to be read: `chunks` wait for the disk, so they are taken on another thread."""

    size: int
    chunks: Iterator[bytes]


class ArtifactStore(Protocol):
    """Content-addressed bytes of each workspace for itself, synced before their name is handed out."""

    async def put(self, workspace_id: WorkspaceId, data: bytes) -> ArtifactRef:
        """Keep the bytes; keeping them twice is fine. Raises StorageFull or StorageFailed."""
        ...

    async def put_chunks(self, workspace_id: WorkspaceId, chunks: Iterable[bytes]) -> ArtifactRef:
        """As `put`, for what is larger than memory; the chunks are taken on another thread."""
        ...

    async def get(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> bytes | None:
        """The bytes at once, or None where there are none of that name: for texts."""
        ...

    async def open(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> Opened | None:
        """The bytes in chunks, or None. What is damaged raises StorageFailed before the first of them."""
        ...

    async def erase(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> None:
        """The bytes are gone when this returns; erasing what is not there is fine. Raises StorageFailed."""
        ...


class Observer(Protocol):
    """Looks at the world for the few commands whose decision depends on it."""

    async def observe(self, command: Command) -> Observation:
        """What was seen, why it can't be seen, or None where nothing needs to be."""
        ...


class Hand(Protocol):
    """Makes intents come true outside. What it finds or does it reports by command."""

    @property
    def handles(self) -> tuple[type[Intent], ...]:
        """The kinds of intent that are its own."""
        ...

    async def carry_out(self, intent: Intent) -> bool:
        """Do it, or find it done; doing it twice is harmless. False asks to be sent again."""
        ...
