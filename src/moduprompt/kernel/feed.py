"""What has become durable, for those who follow it.

A subscription is a cursor, not a queue: a slow reader costs the daemon nothing. The
newest events of each workspace are kept encoded once in a bounded ring shared by all;
older ones are read from the log.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from moduprompt.domain.registry import UPCASTERS, Upcasters, upcast_bytes
from moduprompt.kernel.judgement import Fact
from moduprompt.kernel.meters import Meters
from moduprompt.protocol import Subject, WorkspaceId
from moduprompt.storage.port import EventLog, StoredEvent

RING_EVENTS: Final = 2_048  # some tenths of a second of the busiest workspace; at 1 kB each, 2 MB
RINGS_MAX: Final = 32  # workspaces whose newest events are kept: 64 MB at the very most
READ_EVENTS: Final = 500  # of one step of a subscription: half a megabyte in flight
SKIPPED_MAX: Final = 1_000  # the contract's: then the stream says how far it has looked
POSITION_S: Final = 15.0  # the contract's: a quiet stream says so that often


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """As much of an event as a filter needs."""

    event_type: str
    subject: Subject
    project_id: str | None = None


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


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a subscription: events to send, and how far it has looked."""

    events: tuple[StoredEvent, ...]
    looked_to: int


_glance = msgspec.json.Decoder(Glance)


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
        self._rings: dict[WorkspaceId, deque[StoredEvent]] = {}  # the one written longest ago first
        self._heads: dict[WorkspaceId, int] = {}
        self._waiting: dict[WorkspaceId, set[asyncio.Future[None]]] = {}
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

    def publish(self, workspace_id: WorkspaceId, facts: tuple[Fact, ...]) -> None:
        """These are durable now."""
        if not facts:
            return
        fresh: deque[StoredEvent] = deque(maxlen=RING_EVENTS)
        ring = self._rings.pop(workspace_id, fresh)
        if ring and ring[-1].seq + 1 != facts[0].stored.seq:
            ring = fresh  # a ring has no gap: its index is a sequence
        self._rings[workspace_id] = ring
        if len(self._rings) > RINGS_MAX:
            del self._rings[next(iter(self._rings))]
        ring.extend(fact.stored for fact in facts)
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
        if self.head(workspace_id) > seq or self._draining:
            return True
        waiting = self._waiting.setdefault(workspace_id, set())
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.add(woken)
        try:
            async with asyncio.timeout(timeout_s):  # wait_for of Python 3.11 can swallow a cancellation here
                await woken
        except TimeoutError:
            return False
        finally:
            waiting.discard(woken)
        return True

    def served(self, stored: StoredEvent) -> StoredEvent:
        """An event in its newest version, as readers get it."""
        data = upcast_bytes(stored.data, self._upcasters)
        return stored if data is stored.data else replace(stored, data=data)

    async def follow(
        self,
        workspace_id: WorkspaceId,
        *,
        after: int,
        only: Filter,
        sees: Callable[[Glance], bool],
        lasts: Callable[[], bool] = lambda: True,
    ) -> AsyncGenerator[Found]:
        """Steps from `after` on; a step without events tells a position.

        Ends when the daemon drains, or when it no longer `lasts`: asked again whenever
        something happens in the workspace. What the reader may not see is passed over.
        Events come in their newest version.
        """
        clock = asyncio.get_running_loop().time
        looked, told, told_at = after, after, clock()
        while not self._draining and lasts():
            batch = await self._read(workspace_id, looked)
            if batch:
                looked = batch[-1].seq
            events = tuple(self.served(each) for each in batch if _wants(each, only=only, sees=sees))
            # Counted from what was last said, not from the last event: a reader that wants none of
            # many events must hear as often as one of a quiet workspace.
            left_s = told_at + self._position_s - clock()
            if events or looked - told >= SKIPPED_MAX or left_s <= 0:
                told, told_at = looked, clock()
                self._count(len(events), behind=self.head(workspace_id) - looked)
                yield Found(events=events, looked_to=looked)
            elif not batch:
                await self.wait_past(workspace_id, looked, timeout_s=left_s)

    def _count(self, events: int, *, behind: int) -> None:
        if events:
            self._meters.events_sent += events
            self._meters.lag_events.observe(behind)
        else:
            self._meters.positions_sent += 1

    async def _read(self, workspace_id: WorkspaceId, after: int) -> list[StoredEvent]:
        head = self.head(workspace_id)
        if after >= head:
            return []
        ring = self._rings.get(workspace_id)
        if ring and ring[0].seq <= after + 1:
            first = after + 1 - ring[0].seq
            return [ring[i] for i in range(first, min(len(ring), first + READ_EVENTS))]
        limit = min(READ_EVENTS, head - after)
        return await self._log.read(workspace_id, after=after, limit=limit)

    def _wake(self, workspace_id: WorkspaceId) -> None:
        for woken in self._waiting.pop(workspace_id, set()):
            if not woken.done():
                woken.set_result(None)


def _wants(event: StoredEvent, *, only: Filter, sees: Callable[[Glance], bool]) -> bool:
    glance = _glance.decode(event.data)
    return only.takes(glance) and sees(glance)


def _fits(event_type: str, pattern: str) -> bool:
    return event_type.startswith(pattern[:-1]) if pattern.endswith("*") else event_type == pattern
