"""Wire names to classes and back, derived from the deciders: nothing is registered twice."""

from typing import Final

import msgspec

from moduprompt.domain.decider import Command, Decider, Event
from moduprompt.domain.deciders import DECIDERS
from moduprompt.protocol import Code, EventEnvelope, Rejection, decode

COMMANDS: Final[dict[tuple[str, int], type[Command]]] = {
    (kind.wire, kind.version): kind for decider in DECIDERS for kind in decider.commands
}
EVENTS: Final[dict[tuple[str, int], type[Event]]] = {
    (kind.wire, kind.version): kind for decider in DECIDERS for kind in decider.events
}
DECIDER_OF: Final[dict[str, Decider]] = {decider.noun: decider for decider in DECIDERS}


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


def read_event(envelope: EventEnvelope) -> Event | None:
    """The typed payload; None for an event that belongs to no aggregate (a rejection)."""
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
    try:
        return msgspec.json.decode(envelope.payload, type=kind)
    except msgspec.DecodeError:
        return None
