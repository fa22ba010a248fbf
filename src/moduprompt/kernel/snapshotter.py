"""When snapshots are taken, so that a start folds little: one task for all workspaces.

A snapshot is due when a workspace has grown by many events, some time after any change, and at the end, as
far as the time goes. References are collected at one moment; they are written only when that moment is
durable, and count only when all of it is written. Whatever goes wrong here costs time, never
an event: without a snapshot, or with an old one, the log is folded.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, Protocol

import msgspec

from moduprompt.kernel.ledger import Capture, Ledger
from moduprompt.kernel.ports import Clock
from moduprompt.kernel.snapshots import to_pieces, wants_version
from moduprompt.protocol import Micros, WorkspaceId
from moduprompt.storage.hashing import piece_digest
from moduprompt.storage.port import Note, Part, Piece, SnapshotStore, StorageFailed

SNAPSHOT_EVENTS: Final = 5_000  # since the last one: half a second of folding
REST_S: Final = 30.0  # after a change, or a failure: what a crash makes the next start fold stays short
DURABLE_S: Final = 30.0  # a disk that takes longer than this for a commit has other troubles
FINISH_S: Final = 5.0  # at the end of the daemon: what is not taken by then is folded at the next start
ADD_BYTES: Final = 1_000_000  # of pieces in memory before they are handed to the store
REWRITE_ABOVE: Final = 2  # times the states there are: what is stored more often is written afresh
REWRITE_LEAST: Final = 1_000  # stored states; fewer are not worth it

log = logging.getLogger(__name__)


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace wants without being asked."""

    due_at: Micros | None
    has_work: bool


class Ledgers(Protocol):
    """The workspaces in memory."""

    def get(self, workspace_id: WorkspaceId) -> Ledger | None:
        """One of them."""
        ...

    def ledgers(self) -> list[Ledger]:
        """All of them."""
        ...

    def put_to_rest(self, workspace_id: WorkspaceId) -> None:
        """Let one go that has its snapshot and wants nothing, when there are too many."""
        ...


class Snapshotter:
    """Takes snapshots, one after another."""

    def __init__(
        self,
        store: SnapshotStore,
        ledgers: Ledgers,
        *,
        clock: Clock,
        head: Callable[[WorkspaceId], int],
        wants: Callable[[WorkspaceId], Wants],
    ) -> None:
        self._store = store
        self._ledgers = ledgers
        self._clock = clock
        self._head = head
        self._wants = wants
        self._grown: dict[WorkspaceId, None] = {}
        self._woken = asyncio.Event()
        self._awaited: _Awaited | None = None

    def settled(self, ledger: Ledger, seq: int) -> None:
        """The ledger's events up to `seq` are durable, and what they want is known."""
        if self._awaited is not None and self._awaited.is_for(ledger, seq):
            self._awaited.wants.set_result(self._wants(ledger.workspace_id))
        if ledger.seq - ledger.captured_seq >= SNAPSHOT_EVENTS:
            self._grown[ledger.workspace_id] = None
            self._woken.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._pause()
            await self._round()

    async def _round(self) -> None:
        grown, self._grown = self._grown, {}
        for ledger in [self._ledgers.get(each) for each in grown] or self._ledgers.ledgers():
            if ledger is not None:
                await self.take(ledger)
                self._ledgers.put_to_rest(ledger.workspace_id)

    async def finish(self) -> None:
        """Of all that has changed, within FINISH_S. Nothing is decided any more."""
        try:
            async with asyncio.timeout(FINISH_S):
                for ledger in self._ledgers.ledgers():
                    await self.take(ledger)
        except TimeoutError:
            log.warning("snapshots.unfinished", extra={"within_s": FINISH_S})

    async def take(self, ledger: Ledger) -> None:
        """A snapshot of what has changed; none where nothing has, or where it can't be written now."""
        before = ledger.captured_seq
        if ledger.seq == before:
            return
        captured = ledger.capture(whole=is_rewrite_due(ledger))
        try:
            ledger.snapshot = await self._write(ledger, captured)
        except (StorageFailed, TimeoutError) as fault:
            ledger.give_back(captured, before=before)
            ledger.snapshot = None  # nobody knows what the store has now: the next one is whole
            told = {"workspace_id": ledger.workspace_id, "fault": str(fault) or type(fault).__name__}
            log.warning("snapshot.not_written", extra=told)
        except BaseException:
            ledger.give_back(captured, before=before)
            raise

    async def _write(self, ledger: Ledger, captured: Capture) -> Note:
        self._awaited = awaited = _Awaited(ledger, captured.seq)
        if self._head(ledger.workspace_id) == captured.seq:
            awaited.wants.set_result(self._wants(ledger.workspace_id))
        try:
            parts, left = await self._add_pieces(ledger, captured)
            async with asyncio.timeout(DURABLE_S):
                wants = await awaited.wants
        finally:
            self._awaited = None
        if self._ledgers.get(ledger.workspace_id) is not ledger:
            raise StorageFailed("what was captured was forgotten meanwhile")
        note = to_note(ledger, captured, parts=parts, wants=wants)
        await self._store.publish(note, left)
        return note

    async def _add_pieces(self, ledger: Ledger, captured: Capture) -> tuple[list[Part], list[Piece]]:
        """All parts of the snapshot, and the pieces that are still to be handed to the store."""
        before = ledger.snapshot.parts if ledger.snapshot else ()
        last = max((each.number for each in before), default=0)
        parts = [] if captured.is_whole else list(before)
        left: list[Piece] = []
        size = 0
        async with aclosing(to_pieces(captured, after=last)) as made:
            async for piece in made:
                parts.append(Part(number=piece.number, digest=piece_digest(piece.data)))
                left.append(piece)
                size += len(piece.data)
                if size >= ADD_BYTES:
                    await self._store.add(ledger.workspace_id, left)
                    left, size = [], 0
        return parts, left

    async def _pause(self) -> None:
        """Until something has grown, or REST_S have passed."""
        resting = asyncio.create_task(self._clock.sleep(REST_S), name="snapshots-rest")
        woken = asyncio.create_task(self._woken.wait(), name="snapshots-woken")
        try:
            await asyncio.wait({resting, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            resting.cancel()
            woken.cancel()
            self._woken.clear()


class _Awaited:
    """A moment of a ledger that is to become durable, and what it wants then."""

    def __init__(self, ledger: Ledger, seq: int) -> None:
        self._ledger = ledger
        self._seq = seq
        self.wants: asyncio.Future[Wants] = asyncio.get_running_loop().create_future()

    def is_for(self, ledger: Ledger, seq: int) -> bool:
        """Whether it is this very one, for the first time."""
        return self._ledger is ledger and self._seq == seq and not self.wants.done()


def is_rewrite_due(ledger: Ledger) -> bool:
    """Whether more of what is stored would be overruled than not; a first snapshot is whole anyway."""
    if ledger.snapshot is None:
        return True
    stored = ledger.snapshot.states + ledger.changes()
    return stored >= REWRITE_LEAST and stored > REWRITE_ABOVE * ledger.count()


def to_note(ledger: Ledger, captured: Capture, *, parts: list[Part], wants: Wants) -> Note:
    """What is published of a capture."""
    kept = ledger.snapshot.states if ledger.snapshot and not captured.is_whole else 0
    return Note(
        workspace_id=ledger.workspace_id,
        seq=captured.seq,
        head_hash=captured.head_hash,
        last_time=captured.last_time,
        parts=tuple(parts),
        states=kept + sum(map(len, captured.states.values())),
        wants_version=wants_version(),
        due_at=wants.due_at,
        has_work=wants.has_work,
    )
