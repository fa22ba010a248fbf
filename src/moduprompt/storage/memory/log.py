"""The event log in a dictionary. As strict as the durable one about heads and epochs."""

from collections.abc import Sequence

from msgspec.structs import replace

from moduprompt.protocol import WorkspaceId
from moduprompt.storage.hashing import first_hash
from moduprompt.storage.port import (
    READ_MAX,
    Append,
    Head,
    HeadMoved,
    KeyRow,
    StorageFailed,
    StoredEvent,
    assert_follows,
)


class MemoryLog:
    """An `EventLog` without a disk."""

    def __init__(self) -> None:
        self._heads: dict[WorkspaceId, Head] = {}
        self._events: dict[WorkspaceId, list[StoredEvent]] = {}
        self._keys: dict[tuple[WorkspaceId, str, str], KeyRow] = {}

    async def append(self, batch: Sequence[Append]) -> None:
        """All of it or nothing."""
        self._check(batch)
        for part in batch:
            before = self._heads.get(part.workspace_id)
            self._events.setdefault(part.workspace_id, []).extend(part.events)
            for row in part.keys:
                self._keys[part.workspace_id, row.actor, row.key] = row
            self._heads[part.workspace_id] = Head(
                workspace_id=part.workspace_id,
                seq=part.expected_seq + len(part.events),
                head_hash=part.head_hash,
                epoch=part.epoch,
                imported_to=part.imported_to or (before.imported_to if before else None),
            )

    def _check(self, batch: Sequence[Append]) -> None:
        new: set[tuple[WorkspaceId, str, str]] = set()
        for part in batch:
            assert_follows(part)
            head = self._heads.get(part.workspace_id)
            at = (0, 1) if head is None else (head.seq, head.epoch)
            if at != (part.expected_seq, part.epoch):
                raise HeadMoved(f"workspace {part.workspace_id} is not at {part.expected_seq}")
            for row in part.keys:
                name = (part.workspace_id, row.actor, row.key)
                if name in self._keys or name in new:
                    raise StorageFailed(f"the key {row.key} of {row.actor} is taken")
                new.add(name)

    async def claim(self, workspace_id: WorkspaceId, *, held: int | None = None) -> Head:
        """The head under a new epoch, or under the one that is held."""
        head = self._heads.get(workspace_id)
        if held is not None:
            if head is None or head.epoch != held:
                raise HeadMoved(f"workspace {workspace_id} is not in epoch {held} any more")
            return head
        if head is None:
            head = Head(workspace_id=workspace_id, seq=0, head_hash=first_hash(workspace_id), epoch=0)
            self._events[workspace_id] = []
        self._heads[workspace_id] = replace(head, epoch=head.epoch + 1)
        return self._heads[workspace_id]

    async def heads(self) -> list[Head]:
        """All of them."""
        return list(self._heads.values())

    async def read(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[StoredEvent]:
        """A slice: the sequence is the index."""
        return self._events.get(workspace_id, [])[after : after + min(limit, READ_MAX)]

    async def read_stream(
        self, workspace_id: WorkspaceId, *, subject_id: str, after: int, limit: int
    ) -> list[StoredEvent]:
        """One subject's."""
        events = self._events.get(workspace_id, [])[after:]
        return [event for event in events if event.subject_id == subject_id][: min(limit, READ_MAX)]

    async def find_key(self, workspace_id: WorkspaceId, *, actor: str, key: str) -> KeyRow | None:
        """The accepted use, or None."""
        return self._keys.get((workspace_id, actor, key))

    async def close(self) -> None:
        """Nothing to let go of."""
