"""State from a snapshot and the events after it is the state from zero, to the order of its indexes."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moduprompt.domain.deciders import DECIDERS
from moduprompt.domain.task.state import TaskState
from moduprompt.kernel import snapshots, snapshotter
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.snapshots import Unfit, restore
from moduprompt.kernel.snapshotter import Snapshotter, Wants, is_rewrite_due
from moduprompt.kernel.transfer import empty_ledger
from moduprompt.protocol import WorkspaceId
from moduprompt.storage.memory.snapshots import MemorySnapshots
from moduprompt.storage.port import Note, Piece, SnapshotStore, StorageFailed, StoredEvent
from tests.support.clocks import FakeClock
from tests.support.deadline import turns
from tests.support.histories import WORKSPACE, History
from tests.unit.domain.test_invariants import LIVELY, machine_of, told
from tests.unit.kernel.test_replay import DEMO, stored
from tests.unit.kernel.test_replay import assert_same as assert_same_states

choices = st.lists(st.integers(0, 10_000), max_size=40)
cuts = st.lists(st.floats(0, 1), min_size=1, max_size=4)


class Shelf:
    """One ledger as a snapshotter sees it; what it has is durable unless a test says otherwise."""

    def __init__(self, store: SnapshotStore, ledger: Ledger) -> None:
        self.ledger: Ledger | None = ledger
        self.durable: int | None = None
        self.snapshotter = Snapshotter(
            store,
            self,
            clock=FakeClock(),
            head=lambda _: ledger.seq if self.durable is None else self.durable,
            wants=lambda _: Wants(due_at=None, has_work=False),
        )

    def get(self, workspace_id: WorkspaceId) -> Ledger | None:  # noqa: ARG002 - there is but one
        return self.ledger

    def ledgers(self) -> list[Ledger]:
        return [self.ledger] if self.ledger else []

    def put_to_rest(self, workspace_id: WorkspaceId) -> None:  # noqa: ARG002 - nothing is let go here
        return


def assert_same(one: Ledger, other: Ledger) -> None:
    assert_same_states(one, other)
    for decider in DECIDERS:
        for to, _ in other.aggregates():
            assert one.related_ids(decider.state, to) == other.related_ids(decider.state, to)


async def take(store: SnapshotStore, ledger: Ledger) -> None:
    await Shelf(store, ledger).snapshotter.take(ledger)


async def restored(store: SnapshotStore) -> Ledger:
    note = await store.note(WORKSPACE)
    assert note is not None
    ledger = empty_ledger(WORKSPACE)
    await restore(ledger, note, store=store)
    return ledger


def demo() -> list[StoredEvent]:
    return stored(DEMO.read_bytes().splitlines())


def folded(events: Sequence[StoredEvent], ledger: Ledger | None = None) -> Ledger:
    found = ledger or empty_ledger(WORKSPACE)
    found.fold(events)
    return found


@pytest.mark.parametrize("cut", [1, 2, 17, 60, 10_000])
async def test_a_snapshot_and_the_events_after_it_are_the_whole_log(cut: int) -> None:
    events, store = demo(), MemorySnapshots()
    await take(store, folded(events[:cut]))

    assert_same(folded(events[cut:], await restored(store)), folded(events))


@given(noun=st.sampled_from(LIVELY), numbers=choices, at=cuts)
@settings(max_examples=60, deadline=None)
def test_snapshots_upon_snapshots_are_the_whole_log(noun: str, numbers: list[int], at: list[float]) -> None:
    """Each loaded from the one before it, as daemons do that stop and start."""
    history = History().add(*told(machine_of(noun), numbers).history)
    events = stored([msgspec.json.encode(each) for each in history.envelopes])

    async def told_again() -> Ledger:
        store, ledger = MemorySnapshots(), empty_ledger(WORKSPACE)
        for place in sorted(at):
            ledger.fold(events[ledger.seq : int(place * len(events))])
            await take(store, ledger)
            ledger = await restored(store) if ledger.seq else ledger
        return folded(events[ledger.seq :], ledger)

    assert_same(asyncio.run(told_again()), folded(events))


async def test_a_second_snapshot_writes_what_has_changed_and_nothing_else() -> None:
    events, store = demo(), MemorySnapshots()
    ledger = folded(events[:-1])
    await take(store, ledger)
    before = await store.note(WORKSPACE)
    ledger.fold(events[-1:])
    await take(store, ledger)
    after = await store.note(WORKSPACE)

    assert before is not None
    assert after is not None
    assert after.parts[: len(before.parts)] == before.parts
    assert 1 <= len(after.parts) - len(before.parts) <= 2
    assert after.states == before.states + 1
    assert_same(await restored(store), folded(events))


async def test_what_is_overruled_too_often_is_written_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshotter, "REWRITE_LEAST", 1)
    events, store, ledger, rewritten = demo(), MemorySnapshots(), empty_ledger(WORKSPACE), 0
    for event in events:
        ledger.fold([event])
        rewritten += ledger.snapshot is not None and is_rewrite_due(ledger)
        await take(store, ledger)
        assert ledger.snapshot is not None
        assert ledger.snapshot.states <= 2 * ledger.count()
    assert rewritten > 0
    assert_same(await restored(store), folded(events))


async def test_nothing_new_writes_nothing() -> None:
    store, ledger = MemorySnapshots(), folded(demo())
    await take(store, ledger)
    before = await store.note(WORKSPACE)
    await take(store, ledger)

    assert await store.note(WORKSPACE) is before


class FailingSnapshots(MemorySnapshots):
    """Fails at the so many-th writing."""

    def __init__(self, *, at: int) -> None:
        super().__init__()
        self._left = at

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise StorageFailed("as the test wants it")

    async def add(self, workspace_id: WorkspaceId, pieces: Sequence[Piece]) -> None:
        self._count()
        await super().add(workspace_id, pieces)

    async def publish(self, note: Note, pieces: Sequence[Piece]) -> None:
        self._count()
        await MemorySnapshots.add(self, note.workspace_id, pieces)
        await super().publish(note, ())


@pytest.mark.parametrize("at", range(1, 12))
async def test_a_snapshot_that_could_not_be_written_is_made_up_for(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SLICE_STATES", 2)
    monkeypatch.setattr(snapshotter, "ADD_BYTES", 600)
    events, store, ledger = demo(), FailingSnapshots(at=at), empty_ledger(WORKSPACE)
    for end in range(20, len(events) + 20, 20):
        ledger.fold(events[ledger.seq : end])
        await take(store, ledger)
        note = await store.note(WORKSPACE)
        if note is not None:
            assert_same(await restored(store), folded(events[: note.seq]))
    await take(store, ledger)

    assert ledger.captured_seq == len(events)
    assert_same(await restored(store), folded(events))


async def test_a_moment_that_is_not_durable_yet_is_waited_for() -> None:
    store, ledger = MemorySnapshots(), folded(demo())
    shelf = Shelf(store, ledger)
    shelf.durable = ledger.seq - 1
    taking = asyncio.create_task(shelf.snapshotter.take(ledger))
    await turns()
    assert await store.note(WORKSPACE) is None

    shelf.snapshotter.settled(ledger, ledger.seq)
    await taking
    assert (await restored(store)).seq == ledger.seq


async def test_what_was_forgotten_meanwhile_is_no_snapshot() -> None:
    store, ledger = MemorySnapshots(), folded(demo())
    shelf = Shelf(store, ledger)
    shelf.durable = ledger.seq - 1
    taking = asyncio.create_task(shelf.snapshotter.take(ledger))
    await turns()
    shelf.ledger = None
    shelf.snapshotter.settled(ledger, ledger.seq)
    await taking

    assert await store.note(WORKSPACE) is None


async def test_what_changes_while_a_snapshot_is_written_is_in_the_next_one() -> None:
    events, store = demo(), MemorySnapshots()
    ledger = folded(events[:60])
    shelf = Shelf(store, ledger)
    taking = asyncio.create_task(shelf.snapshotter.take(ledger))
    await turns(1)
    ledger.fold(events[60:])
    await taking

    assert_same(await restored(store), folded(events[:60]))
    await take(store, ledger)
    assert_same(await restored(store), folded(events))


async def test_a_state_of_another_version_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemorySnapshots()
    await take(store, folded(demo()))
    whole = snapshots.state_version

    def changed(kind: str) -> str:
        return "other" if kind == TaskState.__name__ else whole(kind)

    monkeypatch.setattr(snapshots, "state_version", changed)

    with pytest.raises(Unfit, match="TaskState"):
        await restored(store)


async def test_pieces_that_say_nothing_do_not_fit() -> None:
    store = MemorySnapshots()
    await take(store, folded(demo()))
    note = await store.note(WORKSPACE)
    assert note is not None
    pieces = await store.read(note, after=0, limit=100)
    await store.add(WORKSPACE, [msgspec.structs.replace(pieces[-1], data=b"\x00")])

    with pytest.raises(Unfit):
        await restored(store)


def test_every_state_has_a_version_and_all_are_different() -> None:
    versions = {kind: snapshots.state_version(kind) for kind in snapshots.KINDS}

    assert len(set(versions.values())) == len(versions)
