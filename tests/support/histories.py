"""Histories written by hand: events of the domain, as the log would serve them.

Ids, times and hashes are counted, not drawn, so a history is the same bytes on every
machine. Only what events say is written by a test; the envelope follows from it.
"""

from collections import Counter

import msgspec
from blake3 import blake3

from moduprompt.domain.decider import Event
from moduprompt.protocol import (
    SECOND,
    Actor,
    CommandId,
    CommandRejected,
    EventEnvelope,
    EventId,
    Micros,
    Subject,
    TextRef,
    WorkspaceId,
    encode,
    to_micros,
    to_timestamp,
)
from moduprompt.storage.hashing import content_hash, first_hash

BEGINNING = to_micros("2026-11-22T15:40:00.000000Z")
WORKSPACE = WorkspaceId("01935450-0000-7000-8000-0000000000aa")
OWNER = Actor(kind="user", id="01935450-0000-7000-8000-0000000000bb", label="owner")
SYSTEM = Actor(kind="system", id="daemon")


def counted_id(number: int) -> str:
    """A UUIDv7 whose random end is spread, so that short ids look as they do in life."""
    return f"01935450-{number:04x}-7000-8000-{blake3(str(number).encode()).hexdigest()[:12]}"


def text_ref(text: str) -> TextRef:
    """The reference of a text that was stored."""
    return TextRef(ref=content_hash(text.encode()), chars=len(text))


class History:
    """Appends events one after another; `after` moves its clock on."""

    def __init__(self) -> None:
        self.envelopes: list[EventEnvelope] = []
        self._now = BEGINNING
        self._streams: Counter[str] = Counter()
        self._hash = first_hash(WORKSPACE)
        self._ids = 0

    def new_id(self) -> str:
        """The next id."""
        self._ids += 1
        return counted_id(self._ids)

    def after(self, seconds: float) -> "History":
        """Time passes."""
        self._now = Micros(self._now + int(seconds * SECOND))
        return self

    def add(self, *events: Event, by: Actor = SYSTEM) -> "History":
        """Facts, at the time that the clock stands at."""
        for event in events:
            self._append(event.wire, event.version, event.subject(), encode(event), by=by)
        return self

    def refuse(self, said: CommandRejected, *, by: Actor) -> "History":
        """A refused command leaves its trace."""
        subject = Subject(kind="command", id=CommandId(self.new_id()))
        self._append("command.rejected", 1, subject, encode(said), by=by)
        return self

    def to_ndjson(self) -> bytes:
        """As `GET /v1/events/stream-ndjson` sends it."""
        return b"".join(encode(envelope) + b"\n" for envelope in self.envelopes)

    def _append(self, wire: str, version: int, subject: Subject, payload: bytes, *, by: Actor) -> None:
        self._streams[subject.id] += 1
        envelope = EventEnvelope(
            event_id=EventId(self.new_id()),
            event_type=wire,
            timestamp=to_timestamp(self._now),
            actor=by,
            workspace_id=WORKSPACE,
            subject=subject,
            payload=msgspec.Raw(payload),
            schema_version=version,
            seq_global=len(self.envelopes) + 1,
            seq_stream=self._streams[subject.id],
            prev_hash=self._hash,
        )
        self.envelopes.append(envelope)
        self._hash = content_hash(encode(envelope))
