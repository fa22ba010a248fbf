"""Reading the events of our own log again: each is decoded once, payload and all.

What stands in the log was encoded from values that had been checked, and the hash chain
proves that these are the bytes; so the patterns of ids and names are not matched again,
which is most of what a strict decode costs. Sizes, kinds and shapes are. Whatever is not
plainly an event as we write it today (an older version, a rejection) has no reader here
and goes the strict way.

One decoder takes all types: an event's own type chooses the shape of its payload. What state
needs of an envelope and what views need are two such decoders, because a field that nobody
asks for is only skipped.
"""

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Final, TypeVar, Union, get_args, get_origin

import msgspec

from moduprompt.domain.decider import Decider, Event, State
from moduprompt.domain.deciders import DECIDERS
from moduprompt.domain.item import Stamp
from moduprompt.domain.registry import EVENTS, Upcasters
from moduprompt.protocol import Actor, WorkspaceId
from moduprompt.storage.port import Step

UNREAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a reader says of bytes that go the strict way."""


class Owner(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whose stream an event belongs to."""

    id: str


class Lean(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """As much of an envelope as state needs."""

    timestamp: str
    subject: Owner
    payload: Event
    schema_version: int
    seq_global: int
    seq_stream: int
    prev_hash: str


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """As much of an envelope as views need."""

    event_id: str
    timestamp: str
    actor: Actor
    workspace_id: WorkspaceId
    payload: Event
    schema_version: int
    seq_global: int
    seq_stream: int


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """How the events of one type are folded into state."""

    wire: str
    version: int
    state: type[State]
    index_by: str | None
    evolve: Callable[[State | None, Event], State]


@cache
def lean_decoder() -> Callable[[bytes], Lean]:
    """The decoder of all types; it raises one of UNREAD."""
    return msgspec.json.Decoder(_shapes(Lean)).decode


def readers(upcasters: Upcasters) -> dict[type[msgspec.Struct], Reader]:
    """A reader for the newest version of each type of event; none where an upcaster takes that version."""
    return {
        lean: reader for lean, reader in _newest().items() if (reader.wire, reader.version) not in upcasters
    }


def read_step(data: bytes, upcasters: Upcasters) -> Step | None:
    """An event as views take it; None where it goes the strict way."""
    try:
        told = _told_decoder()(data)
    except UNREAD:
        return None
    event = told.payload
    if told.schema_version != event.version or (upcasters and (event.wire, event.version) in upcasters):
        return None
    stamp = Stamp(
        workspace_id=told.workspace_id,
        seq=told.seq_global,
        version=told.seq_stream,
        timestamp=told.timestamp,
        actor=told.actor,
    )
    return Step(event=event, stamp=stamp, event_id=told.event_id)


S = TypeVar("S", bound=msgspec.Struct)


@cache
def _told_decoder() -> Callable[[bytes], Told]:
    return msgspec.json.Decoder(_shapes(Told)).decode


def _shapes(base: type[S]) -> type[S]:
    """All types in one union, which the decoder tells apart by their wire names."""
    return Union[tuple(_shaped(base, kind) for kind, _ in _kinds())]  # type: ignore[return-value]  # noqa: UP007 - known at run time only


@cache
def _newest() -> dict[type[msgspec.Struct], Reader]:
    return {
        _shaped(Lean, kind): Reader(
            wire=kind.wire,
            version=kind.version,
            state=decider.state,
            index_by=decider.state.index_by,
            evolve=decider.evolve,
        )
        for kind, decider in _kinds()
    }


def _kinds() -> list[tuple[type[Event], Decider]]:
    """The newest version of each type of event, and whose it is."""
    return [
        (kind, decider)
        for decider in DECIDERS
        for kind in decider.events
        if (kind.wire, kind.version + 1) not in EVENTS
    ]


@cache
def _shaped(base: type[msgspec.Struct], kind: type[Event]) -> type[msgspec.Struct]:
    """The envelope of one type of event."""
    return msgspec.defstruct(
        f"{base.__name__}{kind.__name__}",
        [("payload", _unmatched(kind))],
        bases=(base,),
        frozen=True,
        kw_only=True,
        gc=False,
        tag_field="event_type",
        tag=kind.wire,
    )


@cache
def _unmatched(kind: type[Event]) -> type[msgspec.Struct]:
    """The same event, an instance of its class, with the patterns of its own fields not matched."""
    fields = [
        (field.name, _plain(field.type))
        if field.required
        else (field.name, _plain(field.type), field.default)
        for field in msgspec.structs.fields(kind)
        if field.required or field.default is not msgspec.NODEFAULT
    ]
    return msgspec.defstruct(kind.__name__, fields, bases=(kind,), frozen=True, kw_only=True, gc=False)


def _plain(said: object) -> object:
    """A type without its patterns. What lies deeper than tuples and unions stays as it is."""
    origin, inner = get_origin(said), get_args(said)
    if origin is Annotated:
        has_pattern = any(isinstance(each, msgspec.Meta) and each.pattern for each in inner[1:])
        return _plain(inner[0]) if has_pattern else said
    if origin is tuple:
        return tuple[tuple(_plain(each) for each in inner)]
    if origin in (Union, UnionType):
        return Union[tuple(_plain(each) for each in inner)]  # noqa: UP007 - its members are known at run time only
    return said
