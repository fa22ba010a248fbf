"""Reads of the past: what a view, or the state, was when a log ended at a sequence.

    time → sequence → the nearest earlier fold that is kept → folded on to the sequence → rows

The log never changes below its head, so an answer about the past is the same for ever, and
is exactly what the read gave then. Folding goes in slices, so that a long log holds up nobody;
what was folded is kept for a while, so that pages and repeated reads don't fold again.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, TypeAlias, TypeVar

from moduprompt.domain.item import Item, View
from moduprompt.domain.registry import UPCASTERS, Upcasters
from moduprompt.kernel.folds import Folds, Room
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.projector import to_step
from moduprompt.protocol import Micros, WorkspaceId, decode_event, encode, to_micros
from moduprompt.storage.hashing import first_hash
from moduprompt.storage.port import EventLog, Head, StoredEvent
from moduprompt.views.memory import MemoryRows

SLICE_EVENTS: Final = 200  # some milliseconds of folding, then everybody else has a turn
FOLDS_MAX: Final = 2  # at once: they share the one loop with the commands of the present
SCENES_MAX: Final = 16  # views at sequences: a picture with its lists, at a few moments
SCENE_ROWS_MAX: Final = 100_000  # of all kept scenes: some 100 MB where they share no row
LEDGERS_MAX: Final = 2  # a state is asked for by sessions and by `log head`, seldom at two moments
LEDGER_STATES_MAX: Final = 100_000  # as many as one workspace may well have

ItemT = TypeVar("ItemT", bound=Item)  # the row's type
Place: TypeAlias = tuple[WorkspaceId, str, int]


class Scene:
    """One view of one workspace at a sequence. It never changes."""

    def __init__(self, view: View, rows: MemoryRows, *, seq: int) -> None:
        self.seq = seq
        self.rows = rows
        self._kinds = dict(view.collections)
        self._ids: dict[str, list[str]] = {}

    def row(self, collection: str, id_: str) -> bytes | None:
        """One row as it was served, or None."""
        found = self.rows.get(self._kinds[collection], id_)
        return None if found is None else encode(found)

    def page(self, collection: str, *, after: str, limit: int) -> list[tuple[str, bytes]]:
        """(id, JSON) with `id > after` in the order of ids."""
        kind = self._kinds[collection]
        ids = self._ids.setdefault(collection, sorted(each.id for each in self.rows.every(kind)))
        start = bisect_right(ids, after)
        found = ((id_, self.rows.get(kind, id_)) for id_ in ids[start : start + limit])
        return [(id_, encode(row)) for id_, row in found if row is not None]

    def every(self, kind: type[ItemT]) -> list[ItemT]:
        """All rows of one kind."""
        return list(self.rows.every(kind))


class Past:
    """Folds up to a sequence, which must be durable."""

    def __init__(self, event_log: EventLog, *, upcasters: Upcasters = UPCASTERS) -> None:
        self._log = event_log
        self._upcasters = upcasters
        self._room = Room(FOLDS_MAX)
        self._scenes: Folds[Place, Scene] = Folds(
            self._room,
            weigh=lambda scene: len(scene.rows),
            entries_max=SCENES_MAX,
            weight_max=SCENE_ROWS_MAX,
        )
        self._ledgers: Folds[Place, Ledger] = Folds(
            self._room,
            weigh=lambda ledger: sum(1 for _ in ledger.aggregates()),
            entries_max=LEDGERS_MAX,
            weight_max=LEDGER_STATES_MAX,
        )

    def scenes_kept(self) -> list[Scene]:
        """Those that need no folding, the one used longest ago first."""
        return list(self._scenes.kept().values())

    async def seq_at(self, workspace_id: WorkspaceId, at: Micros, *, head: int) -> int:
        """The last of the first `head` events that is not later than a time; 0 where all are.

        Event time does not decrease in a workspace, so this halves the log until it is found.
        """
        found, beyond = 0, head + 1
        while beyond - found > 1:
            middle = (found + beyond) // 2
            (stored,) = await self._log.read(workspace_id, after=middle - 1, limit=1)
            if to_micros(decode_event(stored.data).timestamp) <= at:
                found = middle
            else:
                beyond = middle
        return found

    async def scene(self, view: View, workspace_id: WorkspaceId, *, seq: int) -> Scene:
        """A view as it was. Raises Refused (`unavailable`) where too many are being folded."""
        return await self._scenes.get(
            (workspace_id, view.name, seq), lambda: self._fold_view(view, workspace_id, seq=seq)
        )

    async def ledger(self, workspace_id: WorkspaceId, *, seq: int, imported_to: int | None) -> Ledger:
        """The state as it was; nobody may change it. Raises Refused (`unavailable`)."""
        return await self._ledgers.get(
            (workspace_id, "", seq), lambda: self._fold_state(workspace_id, seq=seq, imported_to=imported_to)
        )

    async def subject_row(
        self, view: View, collection: str, *, workspace_id: WorkspaceId, seq: int
    ) -> bytes | None:
        """The workspace's own row of a view that looks at the workspace's own events only."""
        rows, after = MemoryRows(), 0
        while True:
            found = await self._log.read_stream(
                workspace_id, subject_id=workspace_id, after=after, limit=SLICE_EVENTS
            )
            self._fold(view, rows, [each for each in found if each.seq <= seq])
            if len(found) < SLICE_EVENTS or found[-1].seq >= seq:
                return Scene(view, rows, seq=seq).row(collection, workspace_id)
            after = found[-1].seq

    async def _fold_view(self, view: View, workspace_id: WorkspaceId, *, seq: int) -> Scene:
        nearest = self._nearest(view, workspace_id, seq)
        rows, after = (nearest.rows.copy(), nearest.seq) if nearest is not None else (MemoryRows(), 0)
        async with aclosing(self._slices(workspace_id, after=after, seq=seq)) as slices:
            async for stored in slices:
                self._fold(view, rows, stored)
        return Scene(view, rows, seq=seq)

    async def _fold_state(self, workspace_id: WorkspaceId, *, seq: int, imported_to: int | None) -> Ledger:
        start = Head(
            workspace_id=workspace_id,
            seq=0,
            head_hash=first_hash(workspace_id),
            epoch=0,
            imported_to=imported_to,
        )
        ledger = Ledger(start, upcasters=self._upcasters)
        async with aclosing(self._slices(workspace_id, after=0, seq=seq)) as slices:
            async for stored in slices:
                ledger.fold(stored)
        return ledger

    async def _slices(
        self, workspace_id: WorkspaceId, *, after: int, seq: int
    ) -> AsyncGenerator[list[StoredEvent]]:
        while after < seq:
            stored = await self._log.read(workspace_id, after=after, limit=min(SLICE_EVENTS, seq - after))
            assert stored, f"BUG: nothing follows {after} of {seq} durable events"
            yield stored
            after = stored[-1].seq
            await asyncio.sleep(0)  # a log in memory does not wait, and everybody else wants a turn

    def _nearest(self, view: View, workspace_id: WorkspaceId, seq: int) -> Scene | None:
        kept = self._scenes.kept().items()
        before = [
            scene for place, scene in kept if place[:2] == (workspace_id, view.name) and scene.seq <= seq
        ]
        return max(before, key=lambda scene: scene.seq, default=None)

    def _fold(self, view: View, rows: MemoryRows, stored: list[StoredEvent]) -> None:
        for each in stored:
            step = to_step(each, self._upcasters)
            if step.event is not None:
                view.fold(rows, step.event, step.stamp)
