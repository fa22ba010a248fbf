"""The proof of a file, without a daemon: every workspace of a `log.sqlite`, or a bundle, and all that does not hold.

    stored bytes  →  folded from zero, as far as that goes  →  after the first fault the links alone
                            └→ at the sequence of a snapshot that lies beside the log: is it the same state?

A fault does not end the proof: what comes after it is still compared with the bytes before it, and the other
workspaces are proved in full. Nothing is written.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.cli.faults import failed
from moduprompt.cli.proof import HINT, LogBroken, Proof, Verified, broken, take, verified
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.snapshots import Unfit, restore
from moduprompt.kernel.transfer import checked, empty_ledger
from moduprompt.protocol import Code, Damage, WorkspaceId, decode_event
from moduprompt.storage.bundle import BundleRefused
from moduprompt.storage.hashing import content_hash, first_hash
from moduprompt.storage.memory.snapshots import NoSnapshots
from moduprompt.storage.port import Head, Note, SnapshotStore, StorageFailed, StoredEvent
from moduprompt.storage.sqlite.connection import open_untouched
from moduprompt.storage.sqlite.inspection import LogFile, log_file
from moduprompt.storage.sqlite.snapshots import SqliteSnapshots
from moduprompt.storage.sqlite.worker import Worker

SQLITE_MAGIC: Final = b"SQLite format 3\0"
FAULTS_MAX: Final = 20  # of one workspace that are told: one page that is gone makes hundreds
LOG, SNAPSHOTS = "log.sqlite", "snapshots.sqlite"


async def prove_file(path: Path) -> Proof:
    """A bundle, a log's file, or the folder it lies in. Raises CallFailed where it is none of them."""
    path = next((each for each in (path / "state" / LOG, path / LOG) if each.is_file()), path)
    try:
        with path.open("rb") as file:
            if file.read(len(SQLITE_MAGIC)) != SQLITE_MAGIC:
                manifest = checked(file).manifest
                return Proof(verified=(msgspec.convert(manifest, Verified, from_attributes=True),))
        with log_file(path) as log:
            async with _snapshots_beside(path) as snapshots:
                return await _prove(log, path, snapshots)
    except OSError as fault:
        raise failed(
            Code.NOT_FOUND, f"{path}: {fault.strerror or fault}", hint="name a bundle or a log.sqlite"
        ) from fault
    except BundleRefused as fault:
        hint = "a bundle is what `mpctl log export` writes: export it again"
        raise failed(Code.UNKNOWN, f"{path}: {fault}", hint=hint) from fault
    except StorageFailed as fault:
        raise failed(Code.UNKNOWN, str(fault), hint=HINT) from fault


class _Walk:
    """One workspace's events, in order: what of them holds, and what does not."""

    def __init__(self, head: Head) -> None:
        self.faults: list[Damage] = []
        self.untold = 0
        self.ledger: Ledger | None = empty_ledger(head.workspace_id)
        self.head = head
        self.seq = 0
        self._hash: str | None = first_hash(head.workspace_id)  # None after bytes that can't be read

    def take(self, stored: StoredEvent) -> None:
        """The next event that there is."""
        if stored.seq != self.seq + 1:
            self._lose(stored.seq - 1)
            self._hash = None
        self.seq = stored.seq
        if self.ledger is not None:
            try:
                take(self.ledger, stored.data)
            except LogBroken as fault:
                self.fault(fault.damage.error)
        else:
            self._link(stored.data)
        self._hash = content_hash(stored.data)

    def finish(self) -> None:
        """There are no more."""
        if self.seq < self.head.seq:
            self._lose(self.head.seq)
        elif self._hash != self.head.head_hash:
            self.fault(f"the last bytes hash to {self._hash}, the head says {self.head.head_hash}")

    def fault(self, error: str, *, seq: int | None = None) -> None:
        """From here on nothing can be folded."""
        self.ledger = None
        if len(self.faults) >= FAULTS_MAX:
            self.untold += 1
            return
        of = self.head.workspace_id
        self.faults.append(
            Damage(path=LOG, workspace_id=of, seq=self.seq if seq is None else seq, error=error)
        )

    def _lose(self, to: int) -> None:
        gone = "it is missing" if to == self.seq + 1 else f"it and all to {to} are missing"
        self.fault(f"{gone}; the head says {self.head.seq}", seq=self.seq + 1)

    def _link(self, data: bytes) -> None:
        try:
            envelope = decode_event(data)
        except (msgspec.DecodeError, ValueError) as fault:
            self.fault(f"its bytes are no event: {fault}")
            return
        if envelope.seq_global != self.seq:
            self.fault(f"it calls itself event {envelope.seq_global}")
        elif self._hash is not None and envelope.prev_hash != self._hash:
            self.fault("the bytes before it are not the ones it was written after")


async def _prove(log: LogFile, path: Path, snapshots: SnapshotStore) -> Proof:
    notes = await _notes(snapshots)
    holding: list[Verified] = []
    faults = [Damage(path=str(path), error=text) for text in log.faults()]
    untold = 0
    for head in log.heads():
        walk = _Walk(head)
        found = await _walked(log, walk, note=notes.get(head.workspace_id), snapshots=snapshots)
        holding += [found] if found is not None else []
        faults += walk.faults
        untold += walk.untold
    return Proof(verified=tuple(holding), faults=tuple(faults), untold=untold)


async def _walked(
    log: LogFile, walk: _Walk, *, note: Note | None, snapshots: SnapshotStore
) -> Verified | None:
    is_compared = False
    try:
        for stored in log.events(walk.head):
            walk.take(stored)
            if note is not None and walk.ledger is not None and walk.ledger.seq == note.seq:
                is_compared = await _compare(walk, walk.ledger, note=note, snapshots=snapshots)
    except StorageFailed as fault:
        walk.seq += 1
        walk.fault(f"it can't be read: {fault}")
    else:
        walk.finish()
    if walk.ledger is None:
        return None
    own = walk.ledger.find(WorkspaceState, walk.head.workspace_id)
    return verified(
        walk.ledger, own.name if own else "", snapshot_seq=note.seq if note and is_compared else None
    )


async def _compare(walk: _Walk, ledger: Ledger, *, note: Note, snapshots: SnapshotStore) -> bool:
    """Whether there was a state to compare with: one of another version, or of another log, says nothing."""
    kept = empty_ledger(ledger.workspace_id)
    try:
        await restore(kept, note, store=snapshots)
    except Unfit:
        return False
    if note.head_hash != ledger.head_hash:
        return False
    if kept.state_hash() == ledger.state_hash():
        return True
    of, error = (
        ledger.workspace_id,
        f"the snapshot's state is {kept.state_hash()}, the log's {ledger.state_hash()}",
    )
    walk.faults.append(Damage(path=SNAPSHOTS, workspace_id=of, seq=note.seq, error=error))
    return True


async def _notes(snapshots: SnapshotStore) -> dict[WorkspaceId, Note]:
    try:
        return {each.workspace_id: each for each in await snapshots.notes()}
    except StorageFailed:  # it may be deleted at any time, and a daemon throws away what it can't read
        return {}


@asynccontextmanager
async def _snapshots_beside(log: Path) -> AsyncGenerator[SnapshotStore]:
    path = log.with_name(SNAPSHOTS)
    if not path.is_file():
        yield NoSnapshots()
        return
    database, worker = open_untouched(path), Worker("snapshots")
    try:
        yield SqliteSnapshots(database, path=None, worker=worker)
    finally:
        await worker.run(database.close)
        worker.stop()


def refuse_faults(proof: Proof) -> None:
    """Raises CallFailed that says all of them, where there are any."""
    if not proof.faults:
        return
    more = len(proof.faults) + proof.untold - 1
    message = str(proof.faults[0]) + (f"; and {more} more" if more else "")
    raise broken(message, details={"faults": [str(each) for each in proof.faults], "untold": proof.untold})
