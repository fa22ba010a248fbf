"""The ledgers of all workspaces: loaded from the log, claimed, kept.

Claiming a workspace raises its epoch, so a writer that was overtaken writes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from moduprompt.domain.registry import UPCASTERS, Upcasters
from moduprompt.kernel.judgement import Wanted, all_wanted
from moduprompt.kernel.ledger import ChainBroken, Ledger
from moduprompt.kernel.ports import Clock
from moduprompt.protocol import Refused, WorkspaceId, missing
from moduprompt.storage.hashing import first_hash
from moduprompt.storage.port import READ_MAX, EventLog, Head, StorageFailed

AGAIN_S: Final = 1.0  # a disk that could not be read a moment ago

log = logging.getLogger(__name__)


class Cabinet:
    """Workspaces in memory."""

    def __init__(
        self,
        log: EventLog,
        *,
        loaded: Callable[[Ledger, tuple[Wanted, ...]], None],
        upcasters: Upcasters = UPCASTERS,
    ) -> None:
        self._log = log
        self._loaded = loaded
        self._upcasters = upcasters
        self._ledgers: dict[WorkspaceId, Ledger] = {}
        self._known: set[WorkspaceId] | None = None  # not read, or not to be trusted any more
        self._loading: dict[WorkspaceId, asyncio.Lock] = {}
        self._forgotten = asyncio.Event()

    async def open(self) -> list[WorkspaceId]:
        """Learn which workspaces there are."""
        self._known = {each.workspace_id for each in await self._log.heads() if each.is_whole()}
        self._known |= self._ledgers.keys()
        return sorted(self._known)

    def ledgers(self) -> list[Ledger]:
        """Those in memory."""
        return list(self._ledgers.values())

    async def every(self) -> list[Ledger]:
        """All there are, also those that must be read first. Raises StorageFailed: a part would pass for all."""
        known = self._known if self._known is not None else await self.open()
        found = [await self.find(each) for each in sorted(known)]
        return [each for each in found if each is not None]

    def get(self, workspace_id: WorkspaceId) -> Ledger | None:
        """One that is in memory."""
        return self._ledgers.get(workspace_id)

    async def find(self, workspace_id: WorkspaceId) -> Ledger | None:
        """The workspace, loaded; None where there is none."""
        ledger = self._ledgers.get(workspace_id)
        if ledger is not None:
            return ledger
        known = self._known if self._known is not None else await self.open()
        if workspace_id not in known:
            return self._ledgers.get(workspace_id)
        async with self._loading.setdefault(workspace_id, asyncio.Lock()):
            if workspace_id not in self._ledgers:
                self._ledgers[workspace_id] = await self._read(workspace_id)
            return self._ledgers[workspace_id]

    async def load(self, workspace_id: WorkspaceId) -> Ledger:
        """As `find`, for a workspace that must be there. Raises Refused."""
        ledger = await self.find(workspace_id)
        if ledger is None:
            raise Refused(missing("workspace", workspace_id))
        return ledger

    def adopt(self, ledger: Ledger) -> None:
        """A new workspace has come to be."""
        self._ledgers[ledger.workspace_id] = ledger
        if self._known is not None:
            self._known.add(ledger.workspace_id)

    async def admit(self, workspace_id: WorkspaceId) -> Ledger:
        """A workspace has been written to the log from elsewhere."""
        if self._known is not None:
            self._known.add(workspace_id)
        return await self.load(workspace_id)

    def forget(self, workspace_ids: Iterable[WorkspaceId]) -> None:
        """What is in memory of these can't be trusted any more: fold them again.

        Reads nothing, so that it can't fail on a disk that has just failed.
        """
        for workspace_id in workspace_ids:
            self._ledgers.pop(workspace_id, None)
        self._known = None
        self._forgotten.set()

    async def run(self, clock: Clock) -> None:
        """Fold again what was forgotten, needed or not.

        Of a commit whose outcome was unknown, streams, hands and timers must hear if it stands.
        """
        while True:
            await self._forgotten.wait()
            self._forgotten.clear()
            try:
                for workspace_id in await self.open():
                    await self.find(workspace_id)
            except StorageFailed as fault:
                log.warning("log.unreadable", extra={"fault": str(fault)})
                self._forgotten.set()
                await clock.sleep(AGAIN_S)

    async def _read(self, workspace_id: WorkspaceId) -> Ledger:
        head = await self._log.claim(workspace_id)
        ledger = Ledger(head, upcasters=self._upcasters)
        while ledger.seq < head.seq:
            found = await self._log.read(workspace_id, after=ledger.seq, limit=READ_MAX)
            if not found:
                raise ChainBroken(
                    f"workspace {workspace_id}: nothing follows {ledger.seq} of {head.seq} events"
                )
            ledger.fold(found)
        if ledger.head_hash != head.head_hash:
            raise ChainBroken(f"workspace {workspace_id}: event {head.seq} is not the one that was written")
        self._loaded(ledger, () if ledger.is_frozen else all_wanted(ledger))
        return ledger


def new_ledger(workspace_id: WorkspaceId) -> Ledger:
    """A workspace before its first event; the append that makes it is its first claim."""
    return Ledger(Head(workspace_id=workspace_id, seq=0, head_hash=first_hash(workspace_id), epoch=1))
