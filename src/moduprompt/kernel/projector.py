"""Keeps the read models up with the log.

Folds what is durable into the views in batches, the position in the same transaction.
An event that a view can't take stops the projector loudly; reads then answer
`unavailable` and nothing is skipped.
"""

import asyncio
import logging
from typing import Final

from moduprompt.domain.item import Stamp, View
from moduprompt.domain.registry import UPCASTERS, Upcasters, read_event
from moduprompt.kernel.feed import Feed
from moduprompt.kernel.meters import Meters
from moduprompt.protocol import Code, Refused, Rejection, WorkspaceId, decode_event, refusal
from moduprompt.storage.port import EventLog, Step, StorageFailed, StoredEvent, ViewStore

FOLD_EVENTS: Final = 1_000  # of one transaction: long enough to spread its cost
WAIT_S: Final = 5.0  # the contract's: a read waits at most so long for its view

log = logging.getLogger(__name__)


class Projector:
    """One task that folds, and the readers that wait for it."""

    def __init__(
        self,
        event_log: EventLog,
        views: tuple[View, ...],
        *,
        store: ViewStore,
        feed: Feed,
        upcasters: Upcasters = UPCASTERS,
        meters: Meters | None = None,
    ) -> None:
        self._log = event_log
        self._views = views
        self._store = store
        self._feed = feed
        self._upcasters = upcasters
        self._meters = meters or Meters()
        self._behind: dict[WorkspaceId, None] = {}
        self._reached: dict[WorkspaceId, int] = {}
        self._woken = asyncio.Event()
        self._moved = asyncio.Condition()
        self._broken: str | None = None

    def wake(self, workspace_id: WorkspaceId) -> None:
        """There is something new."""
        self._behind[workspace_id] = None
        self._woken.set()

    async def run(self) -> None:
        """Fold, for ever, or until an event can't be taken."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._behind:
                workspace_id = next(iter(self._behind))
                del self._behind[workspace_id]
                try:
                    await self._catch_up(workspace_id)
                except (
                    StorageFailed
                ) as fault:  # the disk may recover: whatever is written or read next tries again
                    log.warning("view.late", extra={"workspace_id": workspace_id, "fault": str(fault)})
                except Exception as fault:  # a view that skips is worse than one that stands still
                    log.exception("view.stopped", extra={"workspace_id": workspace_id})
                    await self._stop(f"{type(fault).__name__} in workspace {workspace_id}")
                    return

    async def wait_for(self, workspace_id: WorkspaceId, seq: int) -> None:
        """Until the views hold `seq`. Raises Refused (`unavailable`) after WAIT_S."""
        if self._reached.get(workspace_id, 0) >= seq:
            return
        self.wake(workspace_id)
        try:
            async with asyncio.timeout(WAIT_S), self._moved:
                await self._moved.wait_for(
                    lambda: self._broken is not None or self._reached.get(workspace_id, 0) >= seq
                )
        except TimeoutError:
            raise Refused(_late("the read models are behind the log")) from None
        if self._broken is not None and self._reached.get(workspace_id, 0) < seq:
            raise Refused(_late(f"the read models have stopped: {self._broken}"))

    @property
    def broken(self) -> str | None:
        """Why the read models have stopped; None while they go on."""
        return self._broken

    def behind(self) -> int:
        """Events that are durable and not folded yet, in the workspaces that were looked at."""
        return sum(self._feed.head(each) - reached for each, reached in self._reached.items())

    async def _catch_up(self, workspace_id: WorkspaceId) -> None:
        if workspace_id not in self._reached:
            positions = [await self._store.position(view, workspace_id) for view in self._views]
            await self._move_to(workspace_id, min(positions, default=0))
        while (after := self._reached[workspace_id]) < self._feed.head(workspace_id):
            limit = min(FOLD_EVENTS, self._feed.head(workspace_id) - after)
            stored = await self._log.read(workspace_id, after=after, limit=limit)
            assert stored, f"BUG: nothing follows {after} in workspace {workspace_id}"
            began = asyncio.get_running_loop().time()
            await self._store.apply(self._views, [to_step(each, self._upcasters) for each in stored])
            self._meters.fold_s.observe(asyncio.get_running_loop().time() - began)
            self._meters.events_folded += len(stored)
            await self._move_to(workspace_id, stored[-1].seq)

    async def _move_to(self, workspace_id: WorkspaceId, seq: int) -> None:
        async with self._moved:
            self._reached[workspace_id] = seq
            self._moved.notify_all()

    async def _stop(self, why: str) -> None:
        async with self._moved:
            self._broken = why
            self._moved.notify_all()


def to_step(stored: StoredEvent, upcasters: Upcasters = UPCASTERS) -> Step:
    """An event as views take it."""
    envelope = decode_event(stored.data)
    stamp = Stamp(
        workspace_id=envelope.workspace_id,
        seq=envelope.seq_global,
        version=envelope.seq_stream,
        timestamp=envelope.timestamp,
        actor=envelope.actor,
    )
    return Step(event=read_event(envelope, upcasters), stamp=stamp)


def _late(message: str) -> Rejection:
    return refusal(Code.UNAVAILABLE, message, hint="ask again, or with stale=ok for what there is")
