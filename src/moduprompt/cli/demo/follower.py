"""Follows a workspace's events: shows them, keeps them, and lets the demo wait for what they say.

The stream is its only source. What it saw is kept as NDJSON, so that the same pictures
can be drawn again from it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import BinaryIO, TypeVar

from moduprompt.cli.live.shows import Show
from moduprompt.cli.live.story import to_stamp
from moduprompt.cli.live.watch import watch
from moduprompt.client import Client, Wanted
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import Item
from moduprompt.domain.registry import known_event
from moduprompt.protocol import EventEnvelope, WorkspaceId, decode_event
from moduprompt.views.memory import MemoryRows

ItemT = TypeVar("ItemT", bound=Item)  # the row's type
T = TypeVar("T")


class Follower:
    """One workspace, as its events tell it."""

    def __init__(self, client: Client, workspace_id: WorkspaceId, *, kept: BinaryIO) -> None:
        self._client = client
        self._workspace_id = workspace_id
        self._kept = kept
        self._rows = MemoryRows()
        self._moved = asyncio.Condition()
        self.seq = 0

    def find(self, kind: type[ItemT], id_: str) -> ItemT | None:
        """A row as it stands."""
        return self._rows.get(kind, id_)

    def every(self, kind: type[ItemT]) -> list[ItemT]:
        """All rows of a kind."""
        return list(self._rows.every(kind))

    async def show(self, show: Show) -> None:
        """Show what happens until this is cancelled."""
        await watch(self._told(), show)

    async def until(self, look: Callable[[], T | None]) -> T:
        """What `look` finds, as soon as it finds something."""
        async with self._moved:
            while (found := look()) is None:
                await self._moved.wait()
            return found

    async def _told(self) -> AsyncGenerator[EventEnvelope]:
        wanted = Wanted(workspace_id=self._workspace_id)
        async for frame in self._client.frames(wanted):
            self._kept.write(frame.data + b"\n")
            self._kept.flush()
            envelope = decode_event(frame.data)
            yield envelope
            await self._fold(envelope)

    async def _fold(self, envelope: EventEnvelope) -> None:
        event = known_event(envelope)
        async with self._moved:
            if event is not None:
                for view in VIEWS:
                    view.fold(self._rows, event, to_stamp(envelope))
            self.seq = envelope.seq_global
            self._moved.notify_all()
