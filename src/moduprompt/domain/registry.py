"""Wire names to classes and back, derived from the deciders: nothing is registered twice."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from moduprompt.domain.decider import Command, Decider, Event
from moduprompt.domain.deciders import DECIDERS
from moduprompt.protocol import Code, EventEnvelope, Rejection, decode, decode_event, encode

COMMANDS: Final[dict[tuple[str, int], type[Command]]] = {
    (kind.wire, kind.version): kind for decider in DECIDERS for kind in decider.commands
}
EVENTS: Final[dict[tuple[str, int], type[Event]]] = {
    (kind.wire, kind.version): kind for decider in DECIDERS for kind in decider.events
}
DECIDER_OF: Final[dict[str, Decider]] = {decider.noun: decider for decider in DECIDERS}
REACTING: Final[dict[type[Event], tuple[Decider, ...]]] = {
    kind: tuple(decider for decider in DECIDERS if kind in decider.reacts_to) for kind in EVENTS.values()
}
WOKEN: Final[dict[type[Event], tuple[Decider, ...]]] = {
    kind: tuple(decider for decider in DECIDERS if kind in decider.woken_on) for kind in EVENTS.values()
}
"""Who hears of an event in the decision that it belongs to, and whose intents it may change."""

Upcaster: TypeAlias = Callable[[dict[str, object]], dict[str, object]]
Upcasters: TypeAlias = Mapping[tuple[str, int], Upcaster]
UPCASTERS: Final[Upcasters] = {}
"""From a stored event's name and version to its payload in the next version, on plain JSON.

Each is pure and stays for ever, like the golden file of the version that it reads. What is stored
is never changed: events are upcast whenever they are read, and chains of versions go step by step.
"""


class UnreadableEvent(Exception):
    """A stored event that this version of the program can't read: stop, never skip."""


def command_type(wire: str, version: int) -> type[Command] | Rejection:
    """The class of a command, or `unknown_command`."""
    found = COMMANDS.get((wire, version))
    if found is not None:
        return found
    known = sorted(v for name, v in COMMANDS if name == wire)
    what = f"{wire[:80]!r} has no version {version}" if known else f"{wire[:80]!r} is no command"
    hint = f"known versions: {', '.join(map(str, known))}" if known else "what there is stands at /v1/schemas"
    return Rejection(code=Code.UNKNOWN_COMMAND, message=what, hint=hint)


def upcast(envelope: EventEnvelope, upcasters: Upcasters = UPCASTERS) -> EventEnvelope:
    """The event in its newest version; itself where it is that already. Raises UnreadableEvent."""
    while (step := upcasters.get((envelope.event_type, envelope.schema_version))) is not None:
        try:
            payload = encode(step(msgspec.json.decode(envelope.payload, type=dict[str, object])))
        except (LookupError, TypeError, ValueError, RecursionError) as fault:
            raise UnreadableEvent(
                f"event {envelope.event_id} ({envelope.event_type} version {envelope.schema_version}) "
                f"can't be brought to the next version: {fault}"
            ) from fault
        envelope = replace(envelope, payload=msgspec.Raw(payload), schema_version=envelope.schema_version + 1)
    return envelope


def upcast_bytes(data: bytes, upcasters: Upcasters = UPCASTERS) -> bytes:
    """A stored event as it is served: the very bytes where there is nothing to bring up to date."""
    if not upcasters:
        return data
    stored = decode_event(data)
    newest = upcast(stored, upcasters)
    return data if newest is stored else encode(newest)


def read_event(envelope: EventEnvelope, upcasters: Upcasters = UPCASTERS) -> Event | None:
    """The typed payload; None for an event that belongs to no aggregate (a rejection)."""
    envelope = upcast(envelope, upcasters)
    kind = EVENTS.get((envelope.event_type, envelope.schema_version))
    if kind is None:
        if envelope.subject.kind == "command":
            return None
        raise UnreadableEvent(
            f"event {envelope.event_id} is {envelope.event_type} version {envelope.schema_version}, "
            "which this version does not know"
        )
    decoded = decode(envelope.payload, kind)
    if isinstance(decoded, Rejection):
        raise UnreadableEvent(f"event {envelope.event_id} ({envelope.event_type}): {decoded.message}")
    return decoded


def known_event(envelope: EventEnvelope) -> Event | None:
    """As `read_event`, for clients: what they don't know is None, never an error."""
    kind = EVENTS.get((envelope.event_type, envelope.schema_version))
    if kind is None:
        return None
    event = decode(envelope.payload, kind)
    return None if isinstance(event, Rejection) else event
