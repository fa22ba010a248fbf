"""What has become durable, for those who follow it.

A subscription is a cursor, not a queue: a slow reader costs the daemon nothing. The
newest events of each workspace are kept encoded once in a bounded ring shared by all;
older ones are read from the log.

What an event is turned into on its way (its newest version, what a filter looks at, whether
a filter takes it, its frame for each transport) is made once, however many subscribe. A commit
wakes all subscriptions of its workspace in one pass of the event loop (ADR 0032).
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from moduprompt.domain.registry import UPCASTERS, Upcasters, upcast_bytes
from moduprompt.kernel.bell import Bell
from moduprompt.kernel.judgement import Fact
from moduprompt.kernel.meters import Meters
from moduprompt.protocol import Subject, WorkspaceId
from moduprompt.storage.port import EventLog, StoredEvent

RING_EVENTS: Final = 2_048  # some tenths of a second of the busiest workspace; at 1 kB each, 2 MB
RINGS_MAX: Final = 32  # workspaces whose newest events are kept: 64 MB at the very most
READ_EVENTS: Final = 500  # of one step of a subscription: half a megabyte in flight
SKIPPED_MAX: Final = 1_000  # the contract's: then the stream says how far it has looked
FRAMED_EVENTS: Final = 128  # of a ring keep their frames: who follows live is not further behind than a burst
POSITION_S: Final = 15.0  # the contract's: a quiet stream says so that often


Make: TypeAlias = Callable[[int, bytes], bytes]


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """As much of an event as a filter needs."""

    event_type: str
    subject: Subject
    project_id: str | None = None


_glance = msgspec.json.Decoder(Glance)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events a reader wants; empty wants all. `types` may end in `*`."""

    types: tuple[str, ...] = ()
    project_id: str | None = None
    subject: Subject | None = None

    def takes(self, glance: Glance) -> bool:
        """Whether the reader wants it."""
        if self.project_id is not None and glance.project_id != self.project_id:
            return False
        if self.subject is not None and glance.subject != self.subject:
            return False
        return not self.types or any(_fits(glance.event_type, pattern) for pattern in self.types)


EVERYTHING: Final = Filter()


class Served:
    """An event as subscriptions get it; all that is made of it is made once, for all of them.

    Its newest version and its glance stay as long as it is in the ring; frames and answers of
    filters only while it `is_fresh`, so that they are bounded apart from it.
    """

    __slots__ = ("_data", "_frames", "_glance", "_taken", "_upcasters", "is_fresh", "seq", "stored")

    def __init__(self, stored: StoredEvent, *, upcasters: Upcasters, is_fresh: bool) -> None:
        self.stored = stored
        self.seq = stored.seq
        self.is_fresh = is_fresh
        self._upcasters = upcasters
        self._data: bytes | None = None
        self._glance: Glance | None = None
        self._frames: dict[Make, bytes] = {}
        self._taken: dict[Filter, bool] = {}

    @property
    def data(self) -> bytes:
        """Its bytes in the newest version."""
        if self._data is None:
            self._data = upcast_bytes(self.stored.data, self._upcasters)
        return self._data

    @property
    def glance(self) -> Glance:
        """As much of it as decides who gets it, as it was stored."""
        if self._glance is None:
            self._glance = _glance.decode(self.stored.data)
        return self._glance

    def is_taken(self, only: Filter) -> bool:
        """Whether a filter lets it through."""
        if only is EVERYTHING:
            return True
        known = self._taken.get(only)
        if known is None:
            known = only.takes(self.glance)
            if self.is_fresh:
                self._taken[only] = known
        return known

    def framed(self, make: Make) -> bytes:
        """Its frame. `make` must be the same function for all who want the same frame."""
        frame = self._frames.get(make)
        if frame is None:
            frame = make(self.seq, self.data)
            if self.is_fresh:
                self._frames[make] = frame
        return frame

    def age(self) -> None:
        """Newer ones came: what is made of it from now on is no longer kept."""
        self.is_fresh = False
        self._frames.clear()
        self._taken.clear()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a subscription: events to send, and how far it has looked."""

    events: tuple[Served, ...]
    looked_to: int


class Feed:
    """Wakes subscriptions when commits become durable."""

    def __init__(
        self,
        log: EventLog,
        *,
        position_s: float = POSITION_S,
        upcasters: Upcasters = UPCASTERS,
        meters: Meters | None = None,
    ) -> None:
        self._log = log
        self._position_s = position_s
        self._upcasters = upcasters
        self._meters = meters or Meters()
        self._rings: dict[WorkspaceId, deque[Served]] = {}  # the one written longest ago first
        self._heads: dict[WorkspaceId, int] = {}
        self._waiting: dict[WorkspaceId, dict[Bell, None]] = {}  # in the order in which they came to wait
        self._draining = False

    def head(self, workspace_id: WorkspaceId) -> int:
        """The last durable sequence."""
        return self._heads.get(workspace_id, 0)

    def set_head(self, workspace_id: WorkspaceId, seq: int) -> None:
        """Where a workspace stands that was just loaded: further than was published, perhaps."""
        if seq != self.head(workspace_id):
            self._rings.pop(workspace_id, None)
        self._heads[workspace_id] = seq
        self._wake(workspace_id)

    def kept(self) -> int:
        """How many events are held in memory."""
        return sum(map(len, self._rings.values()))

    def publish(self, workspace_id: WorkspaceId, facts: Sequence[Fact]) -> None:
        """These are durable now."""
        if not facts:
            return
        fresh: deque[Served] = deque(maxlen=RING_EVENTS)
        ring = self._rings.pop(workspace_id, fresh)
        if ring and ring[-1].seq + 1 != facts[0].stored.seq:
            ring = fresh  # a ring has no gap: its index is a sequence
        self._rings[workspace_id] = ring
        if len(self._rings) > RINGS_MAX:
            del self._rings[next(iter(self._rings))]
        for fact in facts:
            ring.append(Served(fact.stored, upcasters=self._upcasters, is_fresh=True))
            if len(ring) > FRAMED_EVENTS:
                ring[-FRAMED_EVENTS - 1].age()
        self._heads[workspace_id] = facts[-1].stored.seq
        self._wake(workspace_id)

    def drain(self) -> None:
        """Wake everybody: the daemon is going away."""
        self._draining = True
        for workspace_id in list(self._waiting):
            self._wake(workspace_id)

    @property
    def is_draining(self) -> bool:
        """Whether subscriptions should end."""
        return self._draining

    async def wait_past(self, workspace_id: WorkspaceId, seq: int, *, timeout_s: float) -> bool:
        """Whether the head went past `seq` within the time."""
        bell = Bell()
        try:
            return await self._wait(
                workspace_id, bell, past=seq, until=asyncio.get_running_loop().time() + timeout_s
            )
        finally:
            bell.close()

    def served(self, stored: StoredEvent) -> StoredEvent:
        """An event in its newest version, as readers get it."""
        data = upcast_bytes(stored.data, self._upcasters)
        return stored if data is stored.data else replace(stored, data=data)

    async def stored(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[StoredEvent]:
        """Durable events after a sequence as they were written, from memory where the newest are asked for."""
        kept = self._kept(workspace_id, after=after, limit=limit)
        if kept is not None:
            return [each.stored for each in kept]
        return await self._log.read(workspace_id, after=after, limit=limit)

    async def follow(
        self,
        workspace_id: WorkspaceId,
        *,
        after: int,
        only: Filter,
        sees: Callable[[Glance], bool],
        lasts: Callable[[], bool] = lambda: True,
        bell: Bell | None = None,
    ) -> AsyncGenerator[Found]:
        """Steps from `after` on; a step without events tells a position.

        Ends when the daemon drains, or when it no longer `lasts`: asked again whenever
        something happens in the workspace, and when the `bell` is rung. What the reader may not
        see is passed over. Events come in their newest version.
        """
        clock = asyncio.get_running_loop().time
        looked, told, told_at = after, after, clock()
        waker = bell or Bell()
        try:
            while not self._draining and lasts():
                batch = await self._read(workspace_id, looked)
                if batch:
                    looked = batch[-1].seq
                events = tuple([each for each in batch if each.is_taken(only) and sees(each.glance)])
                # Counted from what was last said, not from the last event: a reader that wants none of
                # many events must hear as often as one of a quiet workspace.
                due = told_at + self._position_s
                if events or looked - told >= SKIPPED_MAX or due <= clock():
                    told, told_at = looked, clock()
                    self._count(len(events), behind=self.head(workspace_id) - looked)
                    yield Found(events=events, looked_to=looked)
                elif not batch:
                    await self._wait(workspace_id, waker, past=looked, until=due)
        finally:
            waker.close()

    def _count(self, events: int, *, behind: int) -> None:
        if events:
            self._meters.events_sent += events
            self._meters.lag_events.observe(behind)
        else:
            self._meters.positions_sent += 1

    async def _read(self, workspace_id: WorkspaceId, after: int) -> list[Served]:
        head = self.head(workspace_id)
        if after >= head:
            return []
        kept = self._kept(workspace_id, after=after, limit=READ_EVENTS)
        if kept is not None:
            return kept
        stored = await self._log.read(workspace_id, after=after, limit=min(READ_EVENTS, head - after))
        return [Served(each, upcasters=self._upcasters, is_fresh=False) for each in stored]

    def _kept(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[Served] | None:
        """Those after a sequence that is in the ring or just before it; None where the log must be read."""
        ring = self._rings.get(workspace_id)
        if not ring or ring[0].seq > after + 1:
            return None
        first = after + 1 - ring[0].seq
        return [ring[i] for i in range(first, min(len(ring), first + limit))]

    async def _wait(self, workspace_id: WorkspaceId, bell: Bell, *, past: int, until: float) -> bool:
        """Whether the head is past it, or something happened, or somebody rang, before that time."""
        if self.head(workspace_id) > past or self._draining:
            return True
        waiting = self._waiting.setdefault(workspace_id, {})
        waiting[bell] = None
        try:
            return await bell.wait(until=until)
        finally:
            waiting.pop(bell, None)

    def _wake(self, workspace_id: WorkspaceId) -> None:
        for bell in self._waiting.pop(workspace_id, ()):
            bell.ring()


def _fits(event_type: str, pattern: str) -> bool:
    return event_type.startswith(pattern[:-1]) if pattern.endswith("*") else event_type == pattern
