"""How a workspace's state becomes pieces of a snapshot, and pieces a state again.

A snapshot is a stack of pieces, each with some states of one kind or some entries of the index; a later piece
overrules an earlier one. So only what has changed is written, and when half of what lies there is
overruled all of it is written afresh. A piece of states is tagged with their version: a digest of the type's
schema and of the module that folds it, so that a state which changed its shape or its meaning does not fit.
Everything is made and read in slices, with a turn of the event loop after each.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import Final, TypeAlias, TypeVar

import msgspec
from blake3 import blake3

from moduprompt.domain.decider import Decider, State, no_intents, no_timers
from moduprompt.domain.deciders import DECIDERS
from moduprompt.kernel.judgement import Wanted, wanted_by
from moduprompt.kernel.ledger import Capture, IndexEntry, Ledger
from moduprompt.protocol import encode
from moduprompt.storage.port import Note, Piece, SnapshotStore, StorageFailed

SLICE_STATES: Final = 400  # encoded, decoded or asked for their timers at once: a millisecond at most
SLICE_ENTRIES: Final = 2_000  # of the index: as long
READ_PIECES: Final = 40  # at once from the store: some megabytes
INDEX: Final = "index"  # kind and version of a piece that holds entries of the index
KINDS: Final[dict[str, Decider]] = {each.state.__name__: each for each in DECIDERS}
WANTING: Final = tuple(
    each for each in DECIDERS if each.intents is not no_intents or each.timers is not no_timers
)

T = TypeVar("T")
_Sheet: TypeAlias = tuple[list[str], list[int], list[State]]
"""Ids, versions and states: the columns of a piece."""

_encoder = msgspec.msgpack.Encoder()
_entries = msgspec.msgpack.Decoder(list[tuple[str, str, str]])


class Unfit(Exception):
    """A snapshot that this program can't use: of other states, or not whole."""


@cache
def state_version(kind: str) -> str:
    """Of one kind of state: another one as soon as its shape or the code that folds it is another."""
    decider = KINDS[kind]
    return _digest(encode(msgspec.json.schema(decider.state)), _source(decider.evolve))


@cache
def wants_version() -> str:
    """Of everything that due times and intents derive from."""
    states = [state_version(kind).encode() for kind in KINDS]
    return _digest(*states, *(_source(each) for decider in WANTING for each in _derived(decider)))


async def to_pieces(captured: Capture, *, after: int) -> AsyncGenerator[Piece]:
    """A capture in pieces, numbered on from `after`."""
    number = after
    for entries in _slices(captured.indexed, SLICE_ENTRIES):
        number += 1
        rows = [(kind.__name__, value, id_) for kind, value, id_ in entries]
        yield Piece(number=number, kind=INDEX, version=INDEX, data=_encoder.encode(rows))
        await asyncio.sleep(0)
    for kind, found in captured.states.items():
        version = state_version(kind.__name__)
        for ids in _slices(list(found), SLICE_STATES):
            number += 1
            columns = (ids, [captured.versions[id_] for id_ in ids], [found[id_] for id_ in ids])
            data = _encoder.encode(columns)
            yield Piece(number=number, kind=kind.__name__, version=version, data=data)
            await asyncio.sleep(0)


async def restore(ledger: Ledger, note: Note, *, store: SnapshotStore) -> None:
    """Put a snapshot into an empty ledger. Raises Unfit; the ledger is worth nothing then."""
    after = 0
    while True:
        try:
            pieces = await store.read(note, after=after, limit=READ_PIECES)
        except StorageFailed as fault:
            raise Unfit(str(fault)) from fault
        if not pieces:
            break
        for piece in pieces:
            _restore_piece(ledger, piece)
            await asyncio.sleep(0)
        after = pieces[-1].number
    ledger.restore_head(note.seq, head_hash=note.head_hash, last_time=note.last_time)
    ledger.snapshot = note


async def wants_of(ledger: Ledger) -> tuple[Wanted, ...]:
    """What every aggregate wants, of a ledger that nobody changes meanwhile."""
    if ledger.is_frozen:
        return ()
    found: list[Wanted] = []
    for decider in WANTING:
        for ids in _slices(list(ledger.ids(decider.state)), SLICE_STATES):
            found += [
                wanted_by(decider.noun, id_, world=ledger)
                for id_, own in ledger.some(decider.state, ids)
                if decider.intents(own, ledger)
                or decider.timers(own, ledger.workspace_id)  # most want nothing
            ]
            await asyncio.sleep(0)
    return tuple(found)


def _restore_piece(ledger: Ledger, piece: Piece) -> None:
    try:
        if piece.kind == INDEX:
            ledger.restore_index([_to_entry(*entry) for entry in _entries.decode(piece.data)])
            return
        if piece.kind not in KINDS or piece.version != state_version(piece.kind):
            raise Unfit(f"its states of kind {piece.kind} have another version")
        ids, versions, states = _sheet_of(piece.kind).decode(piece.data)
        ledger.restore(
            dict(zip(ids, states, strict=True)),
            dict(zip(ids, versions, strict=True)),
            kind=KINDS[piece.kind].state,
        )
    except (msgspec.DecodeError, ValueError) as fault:
        raise Unfit(f"its piece {piece.number} can't be read: {fault}") from fault


def _to_entry(kind: str, value: str, id_: str) -> IndexEntry:
    if kind not in KINDS:
        raise Unfit(f"its index has entries of kind {kind}")
    return KINDS[kind].state, value, id_


@cache
def _sheet_of(kind: str) -> msgspec.msgpack.Decoder[_Sheet]:
    states = GenericAlias(list, (KINDS[kind].state,))
    return msgspec.msgpack.Decoder(GenericAlias(tuple, (list[str], list[int], states)))


def _slices(found: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (found[start : start + size] for start in range(0, len(found), size))


def _derived(decider: Decider) -> tuple[Callable[..., object], ...]:
    return decider.intents, decider.timers


def _source(function: Callable[..., object]) -> bytes:
    """The whole module: what a function does depends on what it calls."""
    return Path(inspect.getfile(function)).read_bytes()


def _digest(*parts: bytes) -> str:
    digest = blake3()
    for part in parts:
        digest.update(blake3(part).digest())
    return digest.hexdigest(16)
