"""Keeps the read models up with the log.

Folds what is durable into the views in batches, the position in the same transaction. Under
load it waits a moment, so that a batch holds more than one commit and a row that changes often
is written once; whoever waits for a read wakes it at once. An event that a view can't take
stops that view in that workspace, loudly; nothing is skipped, and the others go on. Rows that
another log has left (an older one was restored) are noticed and folded again.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from moduprompt.domain.item import Stamp, View
from moduprompt.domain.registry import UPCASTERS, UnreadableEvent, Upcasters, read_event
from moduprompt.kernel.feed import Feed
from moduprompt.kernel.meters import Meters
from moduprompt.kernel.rebuild import Rebuilds
from moduprompt.kernel.replay import read_step
from moduprompt.kernel.tracks import Stop, Track, Tracks
from moduprompt.protocol import ViewReport, ViewStop, WorkspaceId, decode_event
from moduprompt.storage.port import EventLog, Standing, Step, StorageFailed, StoredEvent, ViewBroke, ViewStore

FOLD_EVENTS: Final = 1_000  # of one transaction: long enough to spread its cost
LINGER_S: Final = 0.05  # a busy second is then twenty transactions; a reader never waits for it
AGAIN_S: Final = 0.5  # a disk that failed a moment ago; a reader waits for several tries

log = logging.getLogger(__name__)


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """A view: the events it holds, and those that are durable and that it doesn't."""

    position: int
    behind: int


class Projector:
    """One task that folds, one that rebuilds, and the readers that wait for them."""

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
        self._store = store
        self._feed = feed
        self._upcasters = upcasters
        self._meters = meters or Meters()
        self.tracks = Tracks(views)
        self._folding = asyncio.Lock()
        self.rebuilds = Rebuilds(
            event_log, self.tracks, store=store, folding=self._folding, to_steps=self._to_steps
        )
        self._behind: dict[WorkspaceId, None] = {}
        self._known: dict[tuple[str, WorkspaceId], Standing] | None = None
        self._looked_at: set[WorkspaceId] = set()
        self._woken = asyncio.Event()
        self._hurried = asyncio.Event()

    def wake(self, workspace_id: WorkspaceId) -> None:
        """There is something new."""
        self._behind[workspace_id] = None
        self._woken.set()
        lowest = self.tracks.lowest(workspace_id)
        if lowest is not None and self._feed.head(workspace_id) - lowest >= FOLD_EVENTS:
            self._hurried.set()

    @property
    def broken(self) -> str | None:
        """The first event that some view can't take, in words; None while all go on."""
        stops = (stop for track in self.tracks.all for stop in track.stops.values())
        return next((stop.to_text() for stop in stops), None)

    def behind(self) -> int:
        """Events that are durable and not folded yet by some view, in the workspaces that are known here."""
        known = {each for track in self.tracks.all for each in track.reached}
        lowest = {each: self.tracks.lowest(each) for each in known}
        return sum(max(0, self._feed.head(each) - seq) for each, seq in lowest.items() if seq is not None)

    def stands(self) -> dict[str, Stand]:
        """How far each view has come, in events of all workspaces that are known here."""
        found: dict[str, Stand] = {}
        for track in self.tracks.all:
            heads = {each: self._feed.head(each) for each in track.reached}
            behind = sum(max(0, head - track.reached[each]) for each, head in heads.items())
            found[track.view.name] = Stand(position=sum(track.reached.values()), behind=behind)
        return found

    async def run(self) -> None:
        """Fold, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_up(), name="projector-live")
            tasks.create_task(self.rebuilds.run(), name="projector-rebuilds")

    async def wait_for(self, workspace_id: WorkspaceId, seq: int, *, of: Sequence[str] = ()) -> None:
        """Until the views of these collections hold `seq`; all views where none is named.

        Raises Refused (`unavailable`): at once where one has stopped before it, else after WAIT_S.
        """
        tracks = self.tracks.of(of)
        if all(track.reached.get(workspace_id, 0) >= seq for track in tracks):
            return
        self.wake(workspace_id)
        self._hurried.set()
        await self.tracks.wait_for(workspace_id, seq, tracks=tracks)

    async def reports(self) -> tuple[ViewReport, ...]:
        """How each view stands. Raises StorageFailed."""
        heads = [head for head in await self._log.heads() if head.is_whole()]
        head = sum(each.seq for each in heads)
        return tuple([await self._report(track, head=head) for track in self.tracks.all])

    async def _report(self, track: Track, *, head: int) -> ViewReport:
        is_rebuilt = track.rebuild is not None and track.rebuild.is_under_way
        known = track.reached or {
            each.workspace_id: each.seq for each in await self._store.standings(track.view)
        }
        return ViewReport(
            name=track.view.name,
            version=track.view.version,
            state="rebuilding" if is_rebuilt else "stopped" if track.stops else "live",
            position=sum(known.values()),
            head=head,
            rows=await self._store.count(track.view),
            rebuilt=track.rebuild.done if is_rebuilt and track.rebuild is not None else None,
            failure=track.rebuild.failure if track.rebuild is not None else None,
            stops=tuple(
                ViewStop(workspace_id=stop.workspace_id, seq=stop.seq, event_id=stop.event_id)
                for stop in track.stops.values()
            ),
        )

    async def _keep_up(self) -> None:
        while True:
            await self._woken.wait()
            await self._linger()
            self._woken.clear()
            behind, self._behind = self._behind, {}  # what comes meanwhile waits for the next time
            for workspace_id in behind:
                try:
                    async with self._folding:
                        await self._catch_up(workspace_id)
                except StorageFailed as fault:
                    log.warning("view.late", extra={"workspace_id": workspace_id, "fault": str(fault)})
                    self._behind[workspace_id] = None
                    self._woken.set()
                    await asyncio.sleep(AGAIN_S)

    async def _linger(self) -> None:
        if not self.tracks.are_awaited:
            try:
                async with asyncio.timeout(LINGER_S):
                    await self._hurried.wait()
            except TimeoutError:
                pass
        self._hurried.clear()

    async def _catch_up(self, workspace_id: WorkspaceId) -> None:
        head = self._feed.head(workspace_id)
        if not head:
            return  # nobody has loaded it: where its log ends is not known
        await self._look_at(workspace_id)
        while (after := self.tracks.lowest(workspace_id)) is not None:
            limit = min(FOLD_EVENTS, head - after)
            if limit <= 0:
                break
            stored = await self._feed.stored(workspace_id, after=after, limit=limit)
            assert stored, f"BUG: nothing follows {after} in workspace {workspace_id}"
            began = asyncio.get_running_loop().time()
            live = [track for track in self.tracks.all if track.is_live(workspace_id)]
            await self._fold(live, workspace_id, stored)
            self._meters.fold_s.observe(asyncio.get_running_loop().time() - began)
            self._meters.events_folded += len(stored)
            await self.tracks.tell()

    async def _fold(self, live: list[Track], workspace_id: WorkspaceId, stored: list[StoredEvent]) -> None:
        steps, unread = self._to_steps(stored)
        try:
            await self._apply(live, workspace_id, steps)
        except ViewBroke as broke:
            track = self.tracks.named(broke.view.name)
            assert track is not None, "BUG: a view that folds has a track"
            place = steps.index(broke.step)
            await self._apply([track], workspace_id, steps[:place])
            self._stop(track, stored[place], broke.step.event_id, fault=broke.__cause__ or broke)
            return
        for track in live if unread is not None else ():
            self._stop(track, stored[len(steps)], _id_of(stored[len(steps)]), fault=unread)

    async def _apply(self, live: list[Track], workspace_id: WorkspaceId, steps: list[Step]) -> None:
        if not steps:
            return
        await self._store.apply([track.view for track in live], steps)
        for track in live:
            track.reached[workspace_id] = max(track.reached.get(workspace_id, 0), steps[-1].stamp.seq)

    def _stop(self, track: Track, stored: StoredEvent, event_id: str, *, fault: BaseException | None) -> None:
        workspace_id = _workspace_of(stored)
        stop = Stop(
            view=track.view.name,
            workspace_id=workspace_id,
            seq=stored.seq,
            event_id=event_id,
            fault=f"{type(fault).__name__}: {fault}",
        )
        track.stops[workspace_id] = stop
        fields = {"view": stop.view, "workspace_id": workspace_id, "seq": stop.seq, "event_id": event_id}
        log.error("view.stopped", exc_info=fault, extra=fields)

    def _to_steps(self, stored: Sequence[StoredEvent]) -> tuple[list[Step], UnreadableEvent | None]:
        """The steps as far as they can be read, and what is wrong with the next one."""
        steps: list[Step] = []
        try:
            steps.extend(to_step(each, self._upcasters) for each in stored)
        except UnreadableEvent as fault:
            return steps, fault
        return steps, None

    async def _look_at(self, workspace_id: WorkspaceId) -> None:
        """Before the first fold: where the views stand, and whether it was this log that they folded."""
        if self._known is None:
            await self._begin()
        if workspace_id in self._looked_at:
            return
        head, ids = self._feed.head(workspace_id), dict[int, str]()
        for track in self.tracks.all:
            stood = self._known.get((track.view.name, workspace_id)) if self._known is not None else None
            if stood is None or stood.seq != track.reached.get(workspace_id):
                continue  # nothing was folded, or it was rebuilt since
            if stood.seq <= head and stood.seq not in ids:
                ids[stood.seq] = _id_of((await self._log.read(workspace_id, after=stood.seq - 1, limit=1))[0])
            if stood.seq > head or ids[stood.seq] != stood.event_id:
                await self._start_over(workspace_id, seq=stood.seq, head=head)
                break
        self._looked_at.add(workspace_id)
        await self.tracks.tell()

    async def _begin(self) -> None:
        """Where the views stood when the store was opened."""
        known: dict[tuple[str, WorkspaceId], Standing] = {}
        for track in self.tracks.all:
            standings = await self._store.standings(track.view)
            for standing in standings:
                track.reached[standing.workspace_id] = standing.seq
                known[track.view.name, standing.workspace_id] = standing
            if not standings and await self._store.count(track.view):
                track.is_renewed = True  # the rows of another version serve until these are ready
                self.rebuilds.ask_for((track,))
        self._known = known

    async def _start_over(self, workspace_id: WorkspaceId, *, seq: int, head: int) -> None:
        fields = {"workspace_id": workspace_id, "position": seq, "head": head}
        log.warning("view.of_another_log", extra=fields)
        self.rebuilds.void()
        await self._store.forget(workspace_id)
        for track in self.tracks.all:
            track.reached.pop(workspace_id, None)


def to_step(stored: StoredEvent, upcasters: Upcasters = UPCASTERS) -> Step:
    """An event as views take it. Raises UnreadableEvent."""
    read = read_step(stored.data, upcasters)
    if read is not None:
        return read
    envelope = decode_event(stored.data)
    stamp = Stamp(
        workspace_id=envelope.workspace_id,
        seq=envelope.seq_global,
        version=envelope.seq_stream,
        timestamp=envelope.timestamp,
        actor=envelope.actor,
    )
    return Step(event=read_event(envelope, upcasters), stamp=stamp, event_id=envelope.event_id)


def _id_of(stored: StoredEvent) -> str:
    return decode_event(stored.data).event_id


def _workspace_of(stored: StoredEvent) -> WorkspaceId:
    return decode_event(stored.data).workspace_id
