"""Reading the events of our own log for a replay: each is decoded once, payload and all.

What stands in the log was encoded from values that had been checked, and the hash chain
proves that these are the bytes; so the patterns of ids and names are not matched again,
which is most of what a strict decode costs. Sizes, kinds and shapes are. Whatever is not
plainly an event as we write it today (another order of fields, an older version, a
rejection) has no reader here and goes the strict way.
"""

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Final, Union, get_args, get_origin

import msgspec

from moduprompt.domain.decider import Event, State
from moduprompt.domain.deciders import DECIDERS
from moduprompt.domain.registry import EVENTS, Upcasters

WIRE_FROM: Final = len('{"event_id":"') + 36 + len('","event_type":"')  # the order of fields is fixed
WIRE_TO: Final = WIRE_FROM + 64  # longer than any name of ours
WIRE_END: Final = b'"'


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


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """How the events of one type are read and folded."""

    version: int
    decode: Callable[[bytes], Lean]
    state: type[State]
    index_by: str | None
    evolve: Callable[[State | None, Event], State]


def readers(upcasters: Upcasters) -> dict[bytes, Reader]:
    """A reader for the newest version of each type of event; none where an upcaster takes that version."""
    return {
        wire: reader for wire, reader in _newest().items() if (wire.decode(), reader.version) not in upcasters
    }


@cache
def _newest() -> dict[bytes, Reader]:
    return {
        kind.wire.encode(): Reader(
            version=kind.version,
            decode=msgspec.json.Decoder(_lean(kind)).decode,
            state=decider.state,
            index_by=decider.state.index_by,
            evolve=decider.evolve,
        )
        for decider in DECIDERS
        for kind in decider.events
        if (kind.wire, kind.version + 1) not in EVENTS
    }


def _unknown(_: bytes) -> Lean:
    raise msgspec.DecodeError("no type of event that is read like this")


def _never(_own: State | None, _event: Event) -> State:
    raise AssertionError("BUG: what can't be read is not folded")


STRICT: Final = Reader(version=0, decode=_unknown, state=State, index_by=None, evolve=_never)
"""For what has no reader: it takes nothing, so that everything goes the strict way."""


def _lean(kind: type[Event]) -> type[Lean]:
    made = msgspec.defstruct(
        f"Lean{kind.__name__}",
        [("payload", _unmatched(kind))],
        bases=(Lean,),
        frozen=True,
        kw_only=True,
        gc=False,
    )
    assert issubclass(made, Lean), "BUG: made from its base"
    return made


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
