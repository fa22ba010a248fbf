"""What every store of snapshots promises: a snapshot is whole or not there."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import msgspec
import pytest

from moduprompt.protocol import Micros, WorkspaceId
from moduprompt.storage.hashing import piece_digest
from moduprompt.storage.port import Note, Part, Piece, SnapshotStore, StorageFailed
from tests.support.stores import W1, W2, OpenSnapshots, memory_snapshots, sqlite_snapshots

MAKERS = (memory_snapshots, sqlite_snapshots)


def a_piece(number: int, text: str = "") -> Piece:
    data = f"{number}{text}".encode()
    return Piece(number=number, kind="TaskState", version="v", data=data)


def a_note(*pieces: Piece, workspace_id: WorkspaceId = W1, seq: int = 7) -> Note:
    return Note(
        workspace_id=workspace_id,
        seq=seq,
        head_hash="blake3:00",
        last_time=Micros(3),
        parts=tuple(Part(number=each.number, digest=piece_digest(each.data)) for each in pieces),
        states=len(pieces),
        wants_version="w",
        due_at=Micros(9),
        has_work=True,
    )


@pytest.fixture(params=MAKERS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenSnapshots:
    make: Callable[[Path], OpenSnapshots] = request.param
    return make(tmp_path)


@pytest.fixture
async def store(open_store: OpenSnapshots) -> AsyncGenerator[SnapshotStore]:
    opened = await open_store()
    yield opened
    await opened.close()


async def pieces_of(store: SnapshotStore, note: Note) -> list[Piece]:
    return await store.read(note, after=0, limit=100)


async def test_a_new_store_has_none(store: SnapshotStore) -> None:
    assert await store.notes() == []
    assert await store.note(W1) is None


async def test_what_is_published_is_there_also_after_opening_again(
    store: SnapshotStore, open_store: OpenSnapshots
) -> None:
    pieces = [a_piece(1), a_piece(2), a_piece(3)]
    note = a_note(*pieces)
    await store.add(W1, pieces[:1])
    await store.publish(note, pieces[1:])
    await store.close()

    again = await open_store()
    assert await again.notes() == [note]
    assert await again.note(W1) == note
    assert await pieces_of(again, note) == pieces
    await again.close()


async def test_pieces_are_read_in_order_and_from_where_one_stopped(store: SnapshotStore) -> None:
    pieces = [a_piece(2), a_piece(5), a_piece(9)]
    await store.publish(a_note(*pieces), [pieces[2], pieces[0], pieces[1]])

    assert await store.read(a_note(*pieces), after=0, limit=2) == pieces[:2]
    assert await store.read(a_note(*pieces), after=5, limit=2) == pieces[2:]
    assert await store.read(a_note(*pieces), after=9, limit=2) == []


async def test_what_was_added_and_not_published_is_of_no_snapshot(
    store: SnapshotStore, open_store: OpenSnapshots
) -> None:
    note = a_note(a_piece(1))
    await store.publish(note, [a_piece(1)])
    await store.add(W1, [a_piece(2), a_piece(3)])
    await store.add(W2, [a_piece(1)])
    await store.close()

    again = await open_store()
    assert await again.notes() == [note]
    assert await pieces_of(again, note) == [a_piece(1)]
    await again.close()


async def test_a_note_may_not_name_what_is_not_there(store: SnapshotStore) -> None:
    first = a_note(a_piece(1))
    await store.publish(first, [a_piece(1)])

    with pytest.raises(StorageFailed):
        await store.publish(a_note(a_piece(1), a_piece(2), a_piece(3), seq=8), [a_piece(2)])
    assert await store.note(W1) == first
    assert await pieces_of(store, first) == [a_piece(1)]


async def test_what_a_note_does_not_name_is_let_go(store: SnapshotStore) -> None:
    await store.publish(a_note(a_piece(1), a_piece(2)), [a_piece(1), a_piece(2)])
    await store.publish(a_note(a_piece(2), a_piece(3), seq=8), [a_piece(3)])

    with pytest.raises(StorageFailed):
        await pieces_of(store, a_note(a_piece(1), a_piece(2)))
    assert await pieces_of(store, a_note(a_piece(2), a_piece(3))) == [a_piece(2), a_piece(3)]


async def test_a_piece_in_the_place_of_another_is_noticed(store: SnapshotStore) -> None:
    note = a_note(a_piece(1), a_piece(2))
    await store.publish(note, [a_piece(1), a_piece(2)])
    await store.add(W1, [a_piece(2, "other")])

    with pytest.raises(StorageFailed, match="not whole"):
        await pieces_of(store, note)


async def test_workspaces_have_their_own(store: SnapshotStore) -> None:
    for workspace_id in (W2, W1):
        note = a_note(a_piece(1, workspace_id), workspace_id=workspace_id)
        await store.publish(note, [a_piece(1, workspace_id)])

    await store.drop(W1)
    await store.drop(W1)
    assert [note.workspace_id for note in await store.notes()] == [W2]
    (kept,) = await store.notes()
    assert await pieces_of(store, kept) == [a_piece(1, W2)]


async def test_a_dropped_snapshot_can_be_made_again(store: SnapshotStore) -> None:
    note = a_note(a_piece(1))
    await store.publish(note, [a_piece(1)])
    await store.drop(W1)
    with pytest.raises(StorageFailed):
        await pieces_of(store, note)

    later = msgspec.structs.replace(note, seq=9)
    await store.publish(later, [a_piece(1)])
    assert await store.note(W1) == later


async def test_closing_twice_is_fine(store: SnapshotStore) -> None:
    await store.close()
    await store.close()
