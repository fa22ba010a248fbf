"""One workspace in memory: the fold of its log, and a draft for the decision at hand.

A ledger is changed by events only. A draft lies over it while one command is decided,
so that a refusal or a fault leaves nothing behind. It knows what has changed since it was last captured
for a snapshot; what is captured are references to immutable values, so taking them is quick.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

import msgspec
from blake3 import blake3

from moduprompt.domain.decider import Event, State
from moduprompt.domain.registry import DECIDER_OF, UPCASTERS, UnreadableEvent, Upcasters, read_event
from moduprompt.kernel.replay import UNREAD, lean_decoder, readers
from moduprompt.protocol import EventEnvelope, Micros, WorkspaceId, decode_event, encode, to_micros
from moduprompt.storage.hashing import content_hash, first_hash
from moduprompt.storage.port import Head, Note, StoredEvent

TIMESTAMP_CHARS: Final = 27  # of the wire form, which sorts like the time it says

S = TypeVar("S", bound=State)


IndexEntry: TypeAlias = tuple[type[State], str, str]
"""A kind, a value of its index field, and the id that took it."""


class ChainBroken(Exception):
    """The log of a workspace is not the one that was written: a gap, or other bytes."""


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is made of, as of one event: everything, or what is new since the capture before."""

    seq: int
    head_hash: str
    last_time: Micros
    is_whole: bool
    states: dict[type[State], dict[str, State]]
    versions: dict[str, int]
    indexed: list[IndexEntry]


class Ledger:
    """The state of one workspace, and where its log stands."""

    def __init__(self, head: Head, *, upcasters: Upcasters = UPCASTERS) -> None:
        self.workspace_id: WorkspaceId = head.workspace_id
        self.epoch = head.epoch
        self.imported_to = head.imported_to
        self._upcasters = upcasters
        self._readers = readers(upcasters)
        self.seq = 0
        self.head_hash = first_hash(head.workspace_id)
        self.last_time = Micros(0)
        self._states: dict[type[State], dict[str, State]] = {}
        self._index: dict[tuple[type[State], str], list[str]] = {}
        self._versions: dict[str, int] = {}
        self._changed: dict[str, None] = {}  # since the last capture, in order
        self._indexed: list[IndexEntry] = []
        self.captured_seq = 0
        self.snapshot: Note | None = None  # the newest one of it that is written

    @property
    def is_frozen(self) -> bool:
        """Whether it was imported and nobody has adopted it: the first event after an import adopts it."""
        return self.imported_to is not None and self.seq <= self.imported_to

    def find(self, state: type[S], id_: str) -> S | None:
        """The state of one aggregate, or None."""
        found = self._states.get(state, {}).get(id_)
        return found if isinstance(found, state) else None

    def related_ids(self, state: type[State], to: str) -> list[str]:
        """Those that had this value in their index field at some time, in order."""
        return self._index.get((state, to), [])

    def related(self, state: type[S], to: str) -> Iterator[S]:
        """Those of one kind whose index field has this value now."""
        return _related(self, state, to, self.related_ids(state, to))

    def every(self, state: type[S]) -> Iterator[S]:
        """All of one kind, in the order they came to be."""
        return (each for each in self._states.get(state, {}).values() if isinstance(each, state))

    def ids(self, state: type[State]) -> Iterable[str]:
        """Of all of one kind, in the order they came to be."""
        return self._states.get(state, {})

    def some(self, state: type[State], ids: Sequence[str]) -> list[tuple[str, State]]:
        """Those of one kind that have these ids, which must be there."""
        of_kind = self._states[state] if ids else {}
        return [(id_, of_kind[id_]) for id_ in ids]

    def version(self, id_: str) -> int:
        """The `seq_stream` of a subject's last event; 0 where there is none."""
        return self._versions.get(id_, 0)

    def fold(self, page: Sequence[StoredEvent]) -> None:
        """Take the next events of our own log: as `replay` does one by one, at twice the pace.

        Raises ChainBroken or UnreadableEvent; the ledger is then worth nothing. One loop, with no
        call of ours that is not needed: a start without a snapshot spends its time here.
        """
        known, versions, states, changed = self._readers, self._versions, self._states, self._changed
        decode, hasher = lean_decoder(), blake3()
        seq, head_hash, latest = self.seq, self.head_hash, ""
        for stored in page:
            data = stored.data
            try:
                lean = decode(data)
            except UNREAD:
                lean = None
            reader = None if lean is None else known.get(type(lean))
            if (
                lean is None
                or reader is None
                or lean.prev_hash != head_hash
                or lean.seq_global != seq + 1
                or lean.seq_stream != versions.get(id_ := lean.subject.id, 0) + 1
                or lean.schema_version != reader.version
                or (timestamp := lean.timestamp) < latest
                or len(timestamp) != TIMESTAMP_CHARS
            ):
                # which says what is wrong with it, or takes what is only uncommon
                self.seq, self.head_hash = seq, head_hash
                self.replay(stored)
                seq, head_hash = self.seq, self.head_hash
                continue
            latest = timestamp
            of_kind = states.get(reader.state)
            if of_kind is None:
                of_kind = states[reader.state] = {}
            before = of_kind.get(id_)
            of_kind[id_] = after = reader.evolve(before, lean.payload)
            versions[id_] = lean.seq_stream
            changed[id_] = None
            if reader.index_by is not None and getattr(after, reader.index_by) is not None:
                self._note(id_, after, before)
            seq += 1
            hasher.reset()
            hasher.update(data)
            head_hash = "blake3:" + hasher.hexdigest()
        self.seq, self.head_hash = seq, head_hash
        if latest:
            self.last_time = max(self.last_time, _time_of(latest, self))

    def replay(self, stored: StoredEvent) -> tuple[EventEnvelope, Event | None]:
        """Take the next event of the log. Raises ChainBroken or UnreadableEvent."""
        envelope, at = _read(stored, self.workspace_id)
        if envelope.seq_global != self.seq + 1 or envelope.prev_hash != self.head_hash:
            raise ChainBroken(
                f"workspace {self.workspace_id}: event {envelope.seq_global} does not follow {self.seq}"
            )
        if (
            envelope.subject.kind != "command"
            and envelope.seq_stream != self.version(envelope.subject.id) + 1
        ):
            raise ChainBroken(
                f"workspace {self.workspace_id}: event {envelope.seq_global} is {envelope.seq_stream} "
                f"of {envelope.subject.kind} {envelope.subject.id}, after {self.version(envelope.subject.id)}"
            )
        event = read_event(envelope, self._upcasters)
        if event is not None:
            id_ = envelope.subject.id
            self.put(id_, evolved(self, event, id_=id_))
            self._versions[id_] = envelope.seq_stream
        self.advance(1, head_hash=content_hash(stored.data), at=at)
        return envelope, event

    def put(self, id_: str, state: State) -> None:
        """The state of one aggregate from now on."""
        of_kind = self._states.setdefault(type(state), {})
        before = of_kind.get(id_)
        of_kind[id_] = state
        self._changed[id_] = None
        self._note(id_, state, before)

    def set_version(self, id_: str, version: int) -> None:
        """The version of one subject from now on."""
        self._versions[id_] = version

    def _note(self, id_: str, state: State, before: State | None) -> None:
        value = index_value(state)
        if value is not None and (before is None or index_value(before) != value):
            self._index.setdefault((type(state), value), []).append(id_)
            self._indexed.append((type(state), value, id_))

    def advance(self, events: int, *, head_hash: str, at: Micros) -> None:
        """The log is longer by so many events, the last of which has this hash."""
        self.seq += events
        self.head_hash = head_hash
        if events:  # a decision without events leaves nothing that a replay could find
            self.last_time = max(self.last_time, at)

    def state_hash(self) -> str:
        """A hash of everything folded: equal logs give equal hashes on every machine."""
        return hash_of(self._states, self._versions)

    async def state_hash_aside(self) -> str:
        """As `state_hash` at this moment, made on another thread: a large state takes half a second."""
        states = {kind: dict(found) for kind, found in self._states.items()}
        return await asyncio.to_thread(hash_of, states, dict(self._versions))

    def count(self) -> int:
        """How many aggregates there are."""
        return sum(map(len, self._states.values()))

    def changes(self) -> int:
        """How many of them have changed since the last capture."""
        return len(self._changed)

    def head(self) -> Head:
        """Where its log ends, as decided; its owner's epoch."""
        return Head(
            workspace_id=self.workspace_id,
            seq=self.seq,
            head_hash=self.head_hash,
            epoch=self.epoch,
            imported_to=self.imported_to,
        )

    def capture(self, *, whole: bool) -> Capture:
        """What is to go into a snapshot; from now on it counts as captured, until it is given back."""
        states = {
            kind: dict(found) if whole else self._changes(found) for kind, found in self._states.items()
        }
        changed = (each for of_kind in states.values() for each in of_kind)
        captured = Capture(
            seq=self.seq,
            head_hash=self.head_hash,
            last_time=self.last_time,
            is_whole=whole,
            states=states,
            versions=dict(self._versions) if whole else {id_: self._versions[id_] for id_ in changed},
            indexed=self._whole_index() if whole else self._indexed,
        )
        self._changed, self._indexed, self.captured_seq = {}, [], self.seq
        return captured

    def give_back(self, captured: Capture, *, before: int) -> None:
        """A capture that came into no snapshot: what it has is still to be captured, as since `before`."""
        ids = (id_ for of_kind in captured.states.values() for id_ in of_kind)
        self._changed = {**dict.fromkeys(ids), **self._changed}
        self._indexed = [*captured.indexed, *self._indexed]
        self.captured_seq = before

    def restore(self, states: dict[str, State], versions: dict[str, int], *, kind: type[State]) -> None:
        """States of one kind out of a snapshot, in order; they are captured already."""
        self._states.setdefault(kind, {}).update(states)
        self._versions.update(versions)

    def restore_index(self, entries: Iterable[IndexEntry]) -> None:
        """Entries of a snapshot's index, in order; they are captured already."""
        for kind, value, id_ in entries:
            self._index.setdefault((kind, value), []).append(id_)

    def restore_head(self, seq: int, *, head_hash: str, last_time: Micros) -> None:
        """The snapshot is as of this event; the chain is checked on from it."""
        self.seq, self.head_hash, self.last_time, self.captured_seq = seq, head_hash, last_time, seq

    def aggregates(self) -> Iterator[tuple[str, State]]:
        """Every aggregate with its id."""
        for of_kind in self._states.values():
            yield from of_kind.items()

    def _whole_index(self) -> list[IndexEntry]:
        if self.captured_seq == 0:
            return self._indexed  # nothing was ever captured: it has all of them
        return [(kind, value, id_) for (kind, value), ids in self._index.items() for id_ in ids]

    def _changes(self, of_kind: dict[str, State]) -> dict[str, State]:
        return {id_: of_kind[id_] for id_ in self._changed if id_ in of_kind}


class Draft:
    """A ledger as it would be after the events so far of one decision."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._states: dict[tuple[type[State], str], State] = {}
        self._versions: dict[str, int] = {}
        self._recorded: list[tuple[str, State]] = []

    @property
    def workspace_id(self) -> WorkspaceId:
        """The workspace all of it belongs to."""
        return self._ledger.workspace_id

    def find(self, state: type[S], id_: str) -> S | None:
        """The state of one aggregate, or None."""
        found = self._states.get((state, id_))
        return found if isinstance(found, state) else self._ledger.find(state, id_)

    def related(self, state: type[S], to: str) -> Iterator[S]:
        """Those of one kind whose index field has this value now."""
        ids = list(self._ledger.related_ids(state, to))
        ids += [id_ for kind, id_ in self._states if kind is state and id_ not in ids]
        return _related(self, state, to, ids)

    def every(self, state: type[S]) -> Iterator[S]:
        """All of one kind, in the order they came to be."""
        ids = dict.fromkeys(self._ledger.ids(state))
        ids |= dict.fromkeys(id_ for kind, id_ in self._states if kind is state)
        return (found for found in (self.find(state, id_) for id_ in ids) if found is not None)

    def version(self, id_: str) -> int:
        """The `seq_stream` of a subject's last event; 0 where there is none."""
        found = self._versions.get(id_)
        return self._ledger.version(id_) if found is None else found

    def record(self, event: Event, *, id_: str) -> State:
        """Take an event of this subject; gives its state after it."""
        own = evolved(self, event, id_=id_)
        self._states[type(own), id_] = own
        self._recorded.append((id_, own))
        self._versions[id_] = self.version(id_) + 1
        return own

    def settle(self) -> None:
        """The draft becomes the ledger, step by step, so that a replay of its events arrives at the same."""
        for id_, state in self._recorded:
            self._ledger.put(id_, state)
        for id_, version in self._versions.items():
            self._ledger.set_version(id_, version)


def hash_of(states: Mapping[type[State], Mapping[str, State]], versions: Mapping[str, int]) -> str:
    """What `Ledger.state_hash` says of these."""
    parts: list[bytes] = []
    for kind in sorted(states, key=lambda each: each.__name__):
        for id_ in sorted(states[kind]):
            parts.append(f"{kind.__name__}/{id_}/{versions.get(id_, 0)}/".encode())
            parts.append(encode(states[kind][id_]))
    return content_hash(b"\n".join(parts))


def evolved(world: Ledger | Draft, event: Event, *, id_: str) -> State:
    """The state of an event's subject, which has this id, after it."""
    decider = DECIDER_OF.get(event.kind)
    if decider is None:
        raise UnreadableEvent(f"{event.wire} belongs to no aggregate")
    return decider.evolve(world.find(decider.state, id_), event)


def _read(stored: StoredEvent, workspace_id: WorkspaceId) -> tuple[EventEnvelope, Micros]:
    try:
        envelope = decode_event(stored.data)
        return envelope, to_micros(envelope.timestamp)
    except (msgspec.DecodeError, ValueError) as fault:
        raise ChainBroken(f"workspace {workspace_id}: event {stored.seq} is damaged: {fault}") from fault


def _time_of(timestamp: str, ledger: Ledger) -> Micros:
    try:
        return to_micros(timestamp)
    except ValueError as fault:
        raise ChainBroken(
            f"workspace {ledger.workspace_id}: event {ledger.seq} is damaged: {fault}"
        ) from fault


def index_value(state: State) -> str | None:
    """The value by which others look this state up."""
    return None if state.index_by is None else getattr(state, state.index_by)


def _related(world: Ledger | Draft, state: type[S], to: str, ids: list[str]) -> Iterator[S]:
    for id_ in dict.fromkeys(ids):
        found = world.find(state, id_)
        if found is not None and index_value(found) == to:
            yield found
