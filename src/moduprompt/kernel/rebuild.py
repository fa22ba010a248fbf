"""Views are made again beside those that serve.

The new rows are folded from the first event of every workspace into an edition of their own,
while the old ones serve and take what is new. When it has caught up, live folding is held for a
moment, the rest is folded, and the new edition takes over in one transaction. A rebuild that
fails or is cut short leaves the old one as it is.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from moduprompt.domain.registry import UnreadableEvent
from moduprompt.kernel.tracks import Rebuild, Track, Tracks
from moduprompt.protocol import WorkspaceId
from moduprompt.storage.port import EventLog, Shadow, Step, StorageFailed, StoredEvent, ViewBroke, ViewStore

FOLD_EVENTS: Final = 1_000  # of one transaction, after which the live views have their turn
CLOSE_EVENTS: Final = (
    1_000  # what may be left to fold while live folding is held: some hundredths of a second
)

ToSteps: TypeAlias = Callable[[Sequence[StoredEvent]], tuple[list[Step], UnreadableEvent | None]]

log = logging.getLogger(__name__)


class Rebuilds:
    """One task, which rebuilds what was asked for, all of it in one pass over the log."""

    def __init__(
        self,
        event_log: EventLog,
        tracks: Tracks,
        *,
        store: ViewStore,
        folding: asyncio.Lock,
        to_steps: ToSteps,
    ) -> None:
        self._log = event_log
        self._tracks = tracks
        self._store = store
        self._folding = folding
        self._to_steps = to_steps
        self._wanted: dict[str, Track] = {}
        self._asked = asyncio.Event()
        self._is_void = False

    def ask_for(self, tracks: Sequence[Track]) -> None:
        """Rebuild these; one that is under way goes on, and asking twice is no error."""
        for track in tracks:
            if track.rebuild is None or not track.rebuild.is_under_way:
                track.rebuild = Rebuild()
                self._wanted[track.view.name] = track
        self._asked.set()

    def void(self) -> None:
        """What a rebuild under way has folded so far is worth nothing: it begins again."""
        self._is_void = True

    async def run(self) -> None:
        """Rebuild, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            tracks, self._wanted = tuple(self._wanted.values()), {}
            if tracks:
                await self._rebuild(tracks)

    async def _rebuild(self, tracks: tuple[Track, ...]) -> None:
        work = _Pass(self._log, tracks, store=self._store, to_steps=self._to_steps)
        try:
            self._is_void = False
            await work.begin()
            left = CLOSE_EVENTS + 1
            while left > CLOSE_EVENTS:
                left = await work.look()
                await work.fold()
            async with self._folding:  # the live views stand: what is durable now is all there is to fold
                if not self._is_void:
                    await work.look()
                    await work.fold()
                    await work.finish()
            if self._is_void:
                await work.give_up("another log was folded meanwhile")
                self.ask_for(tracks)
        except (StorageFailed, UnreadableEvent) as fault:
            await work.give_up(str(fault))
        await self._tracks.tell()


class _Pass:
    """One pass over the log, for all views that were asked for; one that can't take an event drops out."""

    def __init__(
        self, event_log: EventLog, tracks: tuple[Track, ...], *, store: ViewStore, to_steps: ToSteps
    ) -> None:
        self._log = event_log
        self._making: dict[str, tuple[Track, Rebuild, Shadow]] = {}
        self._tracks = tracks
        self._store = store
        self._to_steps = to_steps
        self._heads: dict[WorkspaceId, int] = {}
        self._reached: dict[WorkspaceId, int] = {}

    async def begin(self) -> None:
        """Empty editions."""
        for track in self._tracks:
            if track.rebuild is not None:
                self._making[track.view.name] = (track, track.rebuild, await self._store.shadow(track.view))

    async def look(self) -> int:
        """How many events are left, of all workspaces there are now."""
        self._heads = {head.workspace_id: head.seq for head in await self._log.heads() if head.is_whole()}
        return self._tell()

    async def fold(self) -> None:
        """Everything up to the heads that were seen. Raises StorageFailed or UnreadableEvent."""
        for workspace_id, head in self._heads.items():
            while (after := self._reached.get(workspace_id, 0)) < head:
                limit = min(FOLD_EVENTS, head - after)
                stored = await self._log.read(workspace_id, after=after, limit=limit)
                assert stored, f"BUG: nothing follows {after} in workspace {workspace_id}"
                steps, unread = self._to_steps(stored)
                if unread is not None:
                    raise unread
                for track, _, shadow in tuple(self._making.values()):
                    await self._fold_one(track, shadow, steps)
                self._reached[workspace_id] = stored[-1].seq
                self._tell()

    async def finish(self) -> None:
        """The new editions serve."""
        for name, (track, _, shadow) in tuple(self._making.items()):
            await shadow.take_over()
            del self._making[name]
            track.reached = dict(self._reached)
            track.stops, track.is_renewed, track.rebuild = {}, False, None
            log.info("view.rebuilt", extra={"view": name, "events": sum(self._reached.values())})

    async def give_up(self, why: str) -> None:
        """The old ones go on serving."""
        for name in tuple(self._making):
            await self._drop(name, why)
        for track in self._tracks:
            if track.rebuild is not None:
                track.rebuild.failure = track.rebuild.failure or why

    async def _fold_one(self, track: Track, shadow: Shadow, steps: list[Step]) -> None:
        try:
            await shadow.apply(steps)
        except ViewBroke as broke:
            await self._drop(track.view.name, str(broke))

    async def _drop(self, name: str, why: str) -> None:
        _, rebuild, shadow = self._making.pop(name)
        rebuild.failure = why
        log.error("view.not_rebuilt", extra={"view": name, "fault": why})
        try:
            await shadow.discard()
        except StorageFailed as fault:  # the next opening drops it
            log.warning("view.shadow_left", extra={"view": name, "fault": str(fault)})

    def _tell(self) -> int:
        total, done = sum(self._heads.values()), sum(self._reached.values())
        for _, rebuild, _ in self._making.values():
            rebuild.done, rebuild.total = done, total
        return total - done
