"""Snapshots in a dictionary, and none at all."""

from collections.abc import Sequence

from moduprompt.protocol import WorkspaceId
from moduprompt.storage.hashing import piece_digest
from moduprompt.storage.port import Note, Piece, StorageFailed


class MemorySnapshots:
    """A `SnapshotStore` without a disk."""

    def __init__(self) -> None:
        self._notes: dict[WorkspaceId, Note] = {}
        self._pieces: dict[WorkspaceId, dict[int, Piece]] = {}

    async def notes(self) -> list[Note]:
        """All of them."""
        return [self._notes[each] for each in sorted(self._notes)]

    async def note(self, workspace_id: WorkspaceId) -> Note | None:
        """One of them."""
        return self._notes.get(workspace_id)

    async def read(self, note: Note, *, after: int, limit: int) -> list[Piece]:
        """In order."""
        named = [part for part in note.parts if part.number > after][:limit]
        kept = self._pieces.get(note.workspace_id, {})
        found = [kept[part.number] for part in named if part.number in kept]
        if [piece_digest(piece.data) for piece in found] != [part.digest for part in named]:
            raise StorageFailed(f"the snapshot of workspace {note.workspace_id} is not whole")
        return found

    async def add(self, workspace_id: WorkspaceId, pieces: Sequence[Piece]) -> None:
        """Beside what is there."""
        self._pieces.setdefault(workspace_id, {}).update((piece.number, piece) for piece in pieces)

    async def publish(self, note: Note, pieces: Sequence[Piece]) -> None:
        """Only the pieces that it names stay."""
        await self.add(note.workspace_id, pieces)
        kept = self._pieces.get(note.workspace_id, {})
        named = {part.number: kept[part.number] for part in note.parts if part.number in kept}
        if len(named) != len(note.parts):
            raise StorageFailed(f"the snapshot of workspace {note.workspace_id} names what is not there")
        self._pieces[note.workspace_id] = named
        self._notes[note.workspace_id] = note

    async def drop(self, workspace_id: WorkspaceId) -> None:
        """Note and pieces."""
        self._notes.pop(workspace_id, None)
        self._pieces.pop(workspace_id, None)

    async def close(self) -> None:
        """Nothing to let go of."""


class NoSnapshots(MemorySnapshots):
    """For a daemon that can't keep any: everything is folded from the log."""

    async def add(self, workspace_id: WorkspaceId, pieces: Sequence[Piece]) -> None:
        """Not kept."""

    async def publish(self, note: Note, pieces: Sequence[Piece]) -> None:
        """Not kept."""
