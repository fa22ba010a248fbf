"""The log of a store that is damaged: what is whole of it can be read, and nothing is ever written.

Only workspaces that hold to their last event are there. Claiming one changes nothing, for nobody
writes; an append is refused.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from moduprompt.protocol import WorkspaceId
from moduprompt.storage.port import READ_MAX, Append, Head, KeyRow, StorageFailed, StoredEvent
from moduprompt.storage.sqlite.inspection import Examined, LogFile, log_file

T = TypeVar("T")


class SafeLog:
    """An `EventLog` that is read only."""

    def __init__(self, path: Path, found: Examined) -> None:
        self._path = path
        reached = zip(found.heads, found.whole_to, strict=True)
        self._heads = {head.workspace_id: head for head, to in reached if to == head.seq}

    @classmethod
    def of_prefixes(cls, path: Path, found: Examined) -> "SafeLog":
        """All workspaces, each as far as it holds."""
        heads = zip(found.heads, found.whole_to, strict=True)
        return cls(path, replace(found, heads=tuple(replace(head, seq=to) for head, to in heads)))

    async def append(self, batch: Sequence[Append]) -> None:
        """Nothing is."""
        raise StorageFailed(f"{self._path} is damaged: {len(batch)} appends are refused")

    async def claim(self, workspace_id: WorkspaceId, *, held: int | None = None) -> Head:  # noqa: ARG002
        """Its head, as it is; nobody writes, so nobody is overtaken."""
        head = self._heads.get(workspace_id)
        if head is None:
            raise StorageFailed(f"{self._path}: workspace {workspace_id} is damaged, or not there")
        return head

    async def heads(self) -> list[Head]:
        """Those that are whole."""
        return list(self._heads.values())

    async def read(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[StoredEvent]:
        """In order."""
        head = self._heads.get(workspace_id)
        if head is None or after >= head.seq:
            return []
        return await self._ask(lambda log: list(log.events(head, after=after, limit=min(limit, READ_MAX))))

    async def read_stream(
        self, workspace_id: WorkspaceId, *, subject_id: str, after: int, limit: int
    ) -> list[StoredEvent]:
        """One subject's, in order; without the index, which may be damaged."""
        head = self._heads.get(workspace_id)
        if head is None:
            return []

        def ask(log: LogFile) -> list[StoredEvent]:
            events = (each for each in log.events(head, after=after) if each.subject_id == subject_id)
            return [each for each, _ in zip(events, range(min(limit, READ_MAX)), strict=False)]

        return await self._ask(ask)

    async def find_key(self, workspace_id: WorkspaceId, *, actor: str, key: str) -> KeyRow | None:
        """The accepted use, or None."""
        return await self._ask(lambda log: log.find_key(workspace_id, actor=actor, key=key))

    async def close(self) -> None:
        """Nothing is held open between two questions."""

    async def _ask(self, question: Callable[[LogFile], T]) -> T:
        def asked() -> T:
            with log_file(self._path) as log:
                return question(log)

        return await asyncio.to_thread(asked)
