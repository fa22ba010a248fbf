"""The proof that a log holds: nothing but its bytes is needed.

The hash chain is followed, the sequences are counted, everything is folded from zero with the
code that decisions are made on, and head and state are compared with what was said of them: by a
daemon, by the file's own head rows, or by a bundle's manifest.
"""

from pathlib import Path
from typing import Final

import msgspec

from moduprompt.cli.faults import CallFailed, failed
from moduprompt.client import Client, LogHead
from moduprompt.domain.registry import UnreadableEvent
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.kernel.ledger import ChainBroken, Ledger
from moduprompt.kernel.transfer import checked, empty_ledger
from moduprompt.protocol import Code, WorkspaceId
from moduprompt.storage.bundle import BundleRefused
from moduprompt.storage.port import Head, StorageFailed, StoredEvent
from moduprompt.storage.sqlite.inspection import LogFile, log_file

PAGE: Final = 500  # of one request; half a megabyte of ordinary events
SQLITE_MAGIC: Final = b"SQLite format 3\0"


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace's log that holds."""

    workspace_id: WorkspaceId
    name: str
    seq: int
    head_hash: str
    state_hash: str


async def verify_log(client: Client, workspace_id: WorkspaceId, *, name: str) -> Verified:
    """Replay one workspace of a daemon. Raises CallFailed that names the first event that does not fit."""
    head = await client.log_head(workspace_id)
    ledger = empty_ledger(workspace_id)
    while ledger.seq < head.seq:
        limit = min(PAGE, head.seq - ledger.seq)
        page = await client.read_events(workspace_id, from_=ledger.seq, limit=limit, raw=True)
        if not page.items:
            raise broken(f"workspace {workspace_id}: the log ends at {ledger.seq}, its head is {head.seq}")
        for data in page.items:
            _take(ledger, bytes(data))
    _compare(ledger, head)
    return _verified(ledger, name)


def verify_file(path: Path) -> list[Verified]:
    """Replay a bundle, or every workspace of a database, without a daemon. Raises CallFailed."""
    try:
        with path.open("rb") as file:
            if file.read(len(SQLITE_MAGIC)) != SQLITE_MAGIC:
                manifest = checked(file).manifest
                return [msgspec.convert(manifest, Verified, from_attributes=True)]
        with log_file(path) as log:
            return [_verify_workspace(log, head) for head in log.heads()]
    except OSError as fault:
        raise failed(
            Code.NOT_FOUND, f"{path}: {fault.strerror or fault}", hint="name a bundle or a log.sqlite"
        ) from fault
    except BundleRefused as fault:
        raise failed(
            Code.UNKNOWN,
            f"{path}: {fault}",
            hint="a bundle is what `mpctl log export` writes: export it again",
        ) from fault
    except StorageFailed as fault:
        raise broken(str(fault)) from fault


def broken(message: str) -> CallFailed:
    """What there is is not what was written."""
    return failed(
        Code.UNKNOWN, message, hint="stop the daemon and keep a copy of its data before anything else"
    )


def _verify_workspace(log: LogFile, head: Head) -> Verified:
    ledger = empty_ledger(head.workspace_id)
    for stored in log.events(head):
        _take(ledger, stored.data)
    if ledger.seq != head.seq:
        raise broken(f"workspace {head.workspace_id}: the log ends at {ledger.seq}, its head is {head.seq}")
    _compare_hash(ledger, head.head_hash)
    own = ledger.find(WorkspaceState, head.workspace_id)
    return _verified(ledger, own.name if own else "")


def _verified(ledger: Ledger, name: str) -> Verified:
    return Verified(
        workspace_id=ledger.workspace_id,
        name=name,
        seq=ledger.seq,
        head_hash=ledger.head_hash,
        state_hash=ledger.state_hash(),
    )


def _take(ledger: Ledger, data: bytes) -> None:
    try:
        ledger.replay(StoredEvent(seq=ledger.seq + 1, subject_id="", data=data))
    except (ChainBroken, UnreadableEvent, msgspec.DecodeError, ValueError) as fault:
        where = f"workspace {ledger.workspace_id}, event {ledger.seq + 1}"
        raise broken(f"{where}: {fault}") from fault


def _compare(ledger: Ledger, head: LogHead) -> None:
    _compare_hash(ledger, head.head_hash)
    if ledger.state_hash() != head.state_hash:
        raise broken(
            f"workspace {ledger.workspace_id} at {ledger.seq}: the replay arrives at state "
            f"{ledger.state_hash()}, the daemon is at {head.state_hash}"
        )


def _compare_hash(ledger: Ledger, head_hash: str) -> None:
    if ledger.head_hash != head_hash:
        raise broken(
            f"workspace {ledger.workspace_id} at {ledger.seq}: the last bytes hash to {ledger.head_hash}, "
            f"the head says {head_hash}"
        )
