"""The ledgers of workspaces: loaded when they are first needed, claimed, kept, let go, marked when damaged.

    newest snapshot, if it fits  →  the events after it  →  claimed, and heard of by feed, hands and timers

Claiming a workspace raises its epoch, so a writer that was overtaken writes nothing. It is claimed once: what
must be folded again later is taken up in the epoch that is ours already, or, if another writer has claimed it
since, given up until the next start. Nobody steals a workspace back. One that can't be read is nobody else's
trouble: it answers `unavailable`, and all others work.

A claim is a write, so that what is read after it is durable. While the disk takes none, who only reads is shown the
workspace as of its last event that is known to be durable; the claim is tried again until it stands.

A workspace may be let go while nobody looks. It then has its snapshot, nothing of it is on its way
to the disk (its ledger ends where the log does), and its epoch stays ours, so that a decision without events
that is still in flight is written as if nothing had happened. Timers stay where they are; what wants hands stays.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import msgspec
from msgspec.structs import replace

from moduprompt.domain.registry import UPCASTERS, UnreadableEvent, Upcasters
from moduprompt.kernel.judgement import Wanted
from moduprompt.kernel.ledger import ChainBroken, Ledger
from moduprompt.kernel.ports import Clock
from moduprompt.kernel.snapshots import Unfit, restore, wants_of, wants_version
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Code,
    Damage,
    Refused,
    Rejection,
    WorkspaceId,
    decode_event,
    missing,
    refusal,
)
from moduprompt.storage.hashing import first_hash
from moduprompt.storage.memory.snapshots import NoSnapshots
from moduprompt.storage.port import (
    READ_MAX,
    EventLog,
    Head,
    HeadMoved,
    Note,
    SnapshotStore,
    StorageFailed,
)

AGAIN_S: Final = 1.0  # a disk that could not be read a moment ago
SLICE_EVENTS: Final = 200  # folded at once: some two milliseconds
KEPT_MAX: Final = 1_000  # workspaces in memory; a small one is some 50 kB
SHOWN_MAX: Final = 100  # workspaces shown while the disk takes no writes; others are folded when asked for
DAMAGED: Final = "workspace_damaged"
OVERTAKEN: Final = "overtaken"  # the reason of a workspace that another writer has claimed
LOG: Final = "log.sqlite"  # as people know it: the kernel has no paths
STUMBLES: Final = (  # what a fold can meet in bytes that are not ours: it is that workspace's trouble alone
    ChainBroken,
    UnreadableEvent,
    msgspec.MsgspecError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

log = logging.getLogger(__name__)


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace at the start: where its log ends, and the note that is still true of it, if there is one."""

    head: Head
    note: Note | None


class Cabinet:
    """Workspaces in memory, and what is known of the others."""

    def __init__(
        self,
        log: EventLog,
        *,
        loaded: Callable[[Ledger, tuple[Wanted, ...]], None],
        lost: Callable[[WorkspaceId], None] = lambda _: None,
        is_idle: Callable[[Ledger], bool] = lambda _: False,
        durable: Callable[[WorkspaceId], int] = lambda _: 0,
        snapshots: SnapshotStore | None = None,
        upcasters: Upcasters = UPCASTERS,
    ) -> None:
        """`durable` knows the last sequence of each workspace that has been shown to anybody."""
        self._log = log
        self._loaded = loaded
        self._lost = lost
        self._is_idle = is_idle
        self._durable = durable
        self._snapshots = snapshots or NoSnapshots()
        self._upcasters = upcasters
        self._ledgers: dict[WorkspaceId, Ledger] = {}  # the one used longest ago first
        self._let_go: dict[WorkspaceId, Head] = {}  # in an epoch that is ours
        self._held: dict[WorkspaceId, int] = {}  # the epoch in which each is, or was, ours
        self._overtaken: set[WorkspaceId] = set()
        self._folding: tuple[Ledger, Head] | None = None
        self._damaged: dict[WorkspaceId, Damage] = {}
        self._unclaimed: dict[WorkspaceId, StorageFailed] = {}  # and what the disk said
        self._shown: dict[WorkspaceId, Ledger] = {}  # nobody decides on these
        self._known: set[WorkspaceId] | None = None  # not read, or not to be trusted any more
        self._loading: dict[WorkspaceId, asyncio.Lock] = {}
        self._forgotten: dict[WorkspaceId, None] = {}
        self._has_forgotten = asyncio.Event()

    async def open(self) -> list[WorkspaceId]:
        """Learn which workspaces there are."""
        await self._learn()
        return self.known()

    async def survey(self) -> list[Resting]:
        """All there are, as they lie there; those with a note need not be loaded."""
        try:
            notes = {each.workspace_id: each for each in await self._snapshots.notes()}
        except StorageFailed as fault:
            log.warning("snapshots.unreadable", extra={"fault": str(fault)})
            notes = {}
        heads = await self._learn()
        return [Resting(head=head, note=_true_note(head, notes)) for head in heads]

    def known(self) -> list[WorkspaceId]:
        """All there are, as far as was learnt; also the damaged ones."""
        return sorted((self._known or set()) | self._ledgers.keys())

    async def listed(self) -> list[WorkspaceId]:
        """As `known`, learnt again where that is not to be trusted. Raises StorageFailed: a part would pass for all."""
        if self._known is None:
            await self._learn()
        return self.known()

    def damaged(self) -> list[Damage]:
        """Those that were needed and could not be read."""
        return [self._damaged[each] for each in sorted(self._damaged)]

    def overtaken(self) -> list[WorkspaceId]:
        """Those that another writer has claimed; this one has stopped."""
        return sorted(self._overtaken)

    def unwritable(self) -> StorageFailed | None:
        """Why workspaces can't be claimed at this moment; None where nothing is known to be in the way."""
        return next(iter(self._unclaimed.values()), None)

    def is_out_of_reach(self, workspace_id: WorkspaceId) -> bool:
        """Whether it is damaged or overtaken: nothing can be done with it before the next start."""
        return workspace_id in self._damaged or workspace_id in self._overtaken

    def ledgers(self) -> list[Ledger]:
        """Those in memory."""
        return list(self._ledgers.values())

    async def every(self) -> list[Ledger]:
        """All that can be read, loaded for it: for who must look everywhere. Raises StorageFailed."""
        found: list[Ledger] = []
        for workspace_id in await self.listed():
            with suppress(Refused):
                ledger = await self.look(workspace_id)
                found += [ledger] if ledger is not None else []
        return found

    def get(self, workspace_id: WorkspaceId) -> Ledger | None:
        """One that is in memory."""
        return self._ledgers.get(workspace_id)

    def shown(self, workspace_id: WorkspaceId) -> Ledger | None:
        """One that is in memory, be it only for reading."""
        return self._ledgers.get(workspace_id) or self._shown.get(workspace_id)

    async def look(self, workspace_id: WorkspaceId) -> Ledger | None:
        """As `find`, for who decides nothing on it: where it can't be claimed, as of its last durable event."""
        if workspace_id not in self._unclaimed:
            try:
                return await self.find(workspace_id)
            except StorageFailed:
                if workspace_id not in self._unclaimed:
                    raise
        async with self._loading.setdefault(workspace_id, asyncio.Lock()):
            return await self._show(workspace_id)

    async def find(self, workspace_id: WorkspaceId) -> Ledger | None:
        """The workspace, loaded; None where there is none. Raises Refused for a damaged one."""
        ledger = self._ledgers.get(workspace_id)
        if ledger is not None:
            self._ledgers[workspace_id] = self._ledgers.pop(workspace_id)
            return ledger
        if self._known is None:
            await self._learn()
        if workspace_id not in (self._known or set()):
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
        if self._known is None or ledger.workspace_id not in self._known:  # else its id was given twice
            self._held.setdefault(ledger.workspace_id, ledger.epoch)
        self._ledgers[ledger.workspace_id] = ledger
        if self._known is not None:
            self._known.add(ledger.workspace_id)

    async def admit(self, workspace_id: WorkspaceId) -> Ledger:
        """A workspace has been written to the log from elsewhere."""
        if self._known is not None:
            self._known.add(workspace_id)
        return await self.load(workspace_id)

    def put_to_rest(self, workspace_id: WorkspaceId) -> None:
        """Let one go that has its snapshot and wants nothing, when there are too many; it is loaded again when needed."""
        ledger = self._ledgers.get(workspace_id)
        if ledger is None or len(self._ledgers) <= KEPT_MAX or workspace_id == SYSTEM_WORKSPACE:
            return
        if ledger.captured_seq == ledger.seq and self._is_idle(ledger):
            # In one step: nobody can decide anything between the look and the letting go.
            self._let_go[workspace_id] = ledger.head()
            del self._ledgers[workspace_id]

    def forget(self, workspace_ids: Iterable[WorkspaceId]) -> None:
        """What is in memory of these can't be trusted any more: fold them again.

        Reads nothing, so that it can't fail on a disk that has just failed.
        """
        for workspace_id in workspace_ids:
            self._ledgers.pop(workspace_id, None)
            self._let_go.pop(workspace_id, None)
            self._forgotten[workspace_id] = None
        self._known = None
        self._has_forgotten.set()

    async def run(self, clock: Clock) -> None:
        """Fold again what was forgotten, needed or not.

        Of a commit whose outcome was unknown, streams, hands and timers must hear if it stands.
        """
        while True:
            await self._has_forgotten.wait()
            self._has_forgotten.clear()
            try:
                for workspace_id in list(self._forgotten):
                    await self._found(workspace_id)
                    self._forgotten.pop(workspace_id, None)
            except StorageFailed as fault:
                log.warning("log.unreadable", extra={"fault": str(fault)})
                self._has_forgotten.set()
                await clock.sleep(AGAIN_S)

    async def _learn(self) -> list[Head]:
        heads = [each for each in await self._log.heads() if each.is_whole()]
        self._known = {each.workspace_id for each in heads} | self._ledgers.keys()
        return heads

    async def _found(self, workspace_id: WorkspaceId) -> Ledger | None:
        """As `find`; None for a damaged one."""
        try:
            return await self.find(workspace_id)
        except Refused:
            return None

    async def _read(self, workspace_id: WorkspaceId) -> Ledger:
        if workspace_id in self._damaged:
            raise _unavailable(self._damaged[workspace_id])
        head = self._let_go.get(workspace_id) or await self._own(workspace_id)
        ledger = await self._folded(head)
        wanted = await wants_of(ledger)
        self._let_go.pop(workspace_id, None)
        self._loaded(ledger, wanted)
        return ledger

    async def _own(self, workspace_id: WorkspaceId) -> Head:
        if workspace_id not in self._overtaken:
            try:
                head = await self._log.claim(workspace_id, held=self._held.get(workspace_id))
            except HeadMoved as fault:
                self._overtaken.add(workspace_id)
                log.error("workspace.overtaken", extra={"workspace_id": workspace_id, "fault": str(fault)})
                self._unclaimed.pop(workspace_id, None)
                self._lost(workspace_id)
            except StorageFailed as fault:
                self._unclaimed[workspace_id] = fault
                self._forgotten[workspace_id] = None  # so that it is tried again, needed or not
                self._has_forgotten.set()
                raise
            else:
                self._held[workspace_id] = head.epoch
                self._unclaimed.pop(workspace_id, None)
                self._shown.pop(workspace_id, None)
                return head
        raise Refused(_was_overtaken(workspace_id))

    async def _show(self, workspace_id: WorkspaceId) -> Ledger | None:
        head = await self._durable_head(workspace_id)
        shown = self._shown.get(workspace_id)
        if head is None or (shown is not None and shown.seq == head.seq):
            return shown
        shown = self._shown[workspace_id] = await self._folded(head)
        while len(self._shown) > SHOWN_MAX:
            del self._shown[next(iter(self._shown))]
        return shown

    async def _durable_head(self, workspace_id: WorkspaceId) -> Head | None:
        """Where the log ends for who may only see what is durable; None where nothing is.

        What a commit of unknown outcome has left behind it may be in the file, and be gone after a power cut.
        """
        seq = self._durable(workspace_id)
        found = (each for each in await self._log.heads() if each.workspace_id == workspace_id)
        head = next(found, None) if seq else None
        if head is None or head.seq <= seq:
            return head
        (following,) = await self._log.read(workspace_id, after=seq, limit=1)
        return replace(head, seq=seq, head_hash=decode_event(following.data).prev_hash)

    async def _folded(self, head: Head) -> Ledger:
        """The state at a head. Raises Refused for a workspace that is damaged, and marks it."""
        ledger = await self._from_snapshot(head)
        if ledger is None:
            ledger = Ledger(head, upcasters=self._upcasters)
            fault = await self._stumbled(ledger, head)
            if fault is not None:
                raise self._marked(ledger, fault) from fault
        return ledger

    async def _from_snapshot(self, head: Head) -> Ledger | None:
        """The newest snapshot and the events after it; None where there is none that fits."""
        ledger = Ledger(head, upcasters=self._upcasters)
        try:
            note = await self._snapshots.note(head.workspace_id)
            if note is None or note.seq > head.seq:
                return None
            await restore(ledger, note, store=self._snapshots)
            fault = await self._stumbled(ledger, head)
        except Unfit as unfit:
            fault = unfit
        if fault is None:
            return ledger
        # The log is another one, or damaged, or the snapshot is: folding from zero tells.
        told = {"workspace_id": head.workspace_id, "fault": str(fault)}
        log.warning("snapshot.unfit", extra=told)
        return None

    async def _stumbled(self, ledger: Ledger, head: Head) -> Exception | None:
        """What keeps a ledger from being folded on to its head; None where nothing does."""
        try:
            await self._fold(ledger, head)
        except STUMBLES as fault:
            return fault
        return None

    def folding(self) -> str | None:
        """Which workspace is folded at this moment, and how far that is; None where none is."""
        if self._folding is None:
            return None
        ledger, head = self._folding
        done = 100 * ledger.seq // max(1, head.seq)
        return f"workspace {head.workspace_id}, {done} % of {head.seq:,} events"

    async def _fold(self, ledger: Ledger, head: Head) -> None:
        self._folding = (ledger, head)
        try:
            await self._fold_on(ledger, head)
        finally:
            self._folding = None

    async def _fold_on(self, ledger: Ledger, head: Head) -> None:
        while ledger.seq < head.seq:
            limit = min(READ_MAX, head.seq - ledger.seq)
            found = await self._log.read(ledger.workspace_id, after=ledger.seq, limit=limit)
            if not found:
                raise ChainBroken(
                    f"workspace {ledger.workspace_id}: nothing follows {ledger.seq} of {head.seq} events"
                )
            for start in range(0, len(found), SLICE_EVENTS):
                ledger.fold(found[start : start + SLICE_EVENTS])
                await asyncio.sleep(0)
        if ledger.head_hash != head.head_hash:
            raise ChainBroken(
                f"workspace {ledger.workspace_id}: event {head.seq} is not the one that was written"
            )

    def _marked(self, ledger: Ledger, fault: Exception) -> Exception:
        if ledger.workspace_id == SYSTEM_WORKSPACE:
            return fault  # without it nobody knows who is asking: the daemon must hear of it
        seq, error = ledger.seq + 1, str(fault) or type(fault).__name__
        damage = Damage(path=LOG, workspace_id=ledger.workspace_id, seq=seq, error=error)
        self._damaged[ledger.workspace_id] = damage
        told = {"workspace_id": ledger.workspace_id, "seq": seq, "fault": error}
        log.error("workspace.damaged", extra=told)
        return _unavailable(damage)


def new_ledger(workspace_id: WorkspaceId) -> Ledger:
    """A workspace before its first event; the append that makes it is its first claim."""
    return Ledger(Head(workspace_id=workspace_id, seq=0, head_hash=first_hash(workspace_id), epoch=1))


def _true_note(head: Head, notes: dict[WorkspaceId, Note]) -> Note | None:
    """The note, where it says of this very log, and of this program, what is due and what there is to do."""
    note = notes.get(head.workspace_id)
    if note is None or (note.seq, note.head_hash) != (head.seq, head.head_hash):
        return None
    return note if note.wants_version == wants_version() else None


def _unavailable(damage: Damage) -> Refused:
    return Refused(
        refusal(
            Code.UNAVAILABLE,
            f"workspace {damage.workspace_id} can't be read from event {damage.seq} on; the others work",
            hint="mpctl log verify says what is wrong; keep a copy of the data before anything else",
            details={"reason": DAMAGED, "workspace_id": damage.workspace_id, "seq": damage.seq},
        )
    )


def _was_overtaken(workspace_id: WorkspaceId) -> Rejection:
    return refusal(
        Code.UNAVAILABLE,
        f"another daemon has taken workspace {workspace_id} over; this one has stopped writing it",
        hint="ask the other daemon; where there is none, restart this one: mpd stop && mpd start",
        details={"reason": OVERTAKEN, "workspace_id": workspace_id},
    )
