"""The proof that a log holds: nothing but its bytes is needed.

The hash chain is followed, the sequences are counted, everything is folded from zero with the
code that decisions are made on, and head and state are compared with what was said of them: here by a
daemon, in `file_proof` by a file's own head rows and snapshots, or by a bundle's manifest.
"""

from typing import Final

import msgspec

from moduprompt.cli.faults import CallFailed, failed
from moduprompt.client import Client, LogHead
from moduprompt.kernel.cabinet import STUMBLES
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.transfer import empty_ledger
from moduprompt.protocol import Code, Damage, Details, WorkspaceId
from moduprompt.storage.port import StoredEvent

PAGE: Final = 500  # of one request; half a megabyte of ordinary events
HINT: Final = "stop the daemon and keep a copy of its data before anything else"


class Verified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workspace's log that holds. `snapshot_seq` is where a snapshot of it was compared too."""

    workspace_id: WorkspaceId
    name: str
    seq: int
    head_hash: str
    state_hash: str
    snapshot_seq: int | None = None


class Proof(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The workspaces that hold, and all that does not; `untold` faults are beyond what is listed."""

    verified: tuple[Verified, ...]
    faults: tuple[Damage, ...] = ()
    untold: int = 0


class LogBroken(CallFailed):
    """What there is is not what was written."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(broken(str(damage)).error)
        self.damage = damage


async def verify_log(client: Client, workspace_id: WorkspaceId, *, name: str) -> Verified:
    """Replay one workspace of a daemon. Raises LogBroken that names the first event that does not fit."""
    head = await client.log_head(workspace_id)
    ledger = empty_ledger(workspace_id)
    while ledger.seq < head.seq:
        limit = min(PAGE, head.seq - ledger.seq)
        page = await client.read_events(workspace_id, from_=ledger.seq, limit=limit, raw=True)
        if not page.items:
            raise _at(ledger, ledger.seq + 1, f"the log ends at {ledger.seq}, its head is {head.seq}")
        for data in page.items:
            take(ledger, bytes(data))
    _compare(ledger, head)
    return verified(ledger, name)


def broken(message: str, *, details: Details | None = None) -> CallFailed:
    """What there is is not what was written."""
    return failed(Code.UNKNOWN, message, hint=HINT, details=details)


def verified(ledger: Ledger, name: str, *, snapshot_seq: int | None = None) -> Verified:
    """What was folded to its end."""
    return Verified(
        workspace_id=ledger.workspace_id,
        name=name,
        seq=ledger.seq,
        head_hash=ledger.head_hash,
        state_hash=ledger.state_hash(),
        snapshot_seq=snapshot_seq,
    )


def take(ledger: Ledger, data: bytes) -> None:
    """Fold the next event. Raises LogBroken; the ledger is then worth nothing."""
    try:
        ledger.replay(StoredEvent(seq=ledger.seq + 1, subject_id="", data=data))
    except STUMBLES as fault:  # bytes that are not ours can break any assumption of a fold
        raise _at(ledger, ledger.seq + 1, str(fault) or type(fault).__name__) from fault


def _compare(ledger: Ledger, head: LogHead) -> None:
    if ledger.head_hash != head.head_hash:
        error = f"the last bytes hash to {ledger.head_hash}, the head says {head.head_hash}"
        raise _at(ledger, ledger.seq, error)
    if ledger.state_hash() != head.state_hash:
        error = f"the replay arrives at state {ledger.state_hash()}, the daemon is at {head.state_hash}"
        raise _at(ledger, ledger.seq, error)


def _at(ledger: Ledger, seq: int, error: str) -> LogBroken:
    return LogBroken(Damage(path="log", workspace_id=ledger.workspace_id, seq=seq, error=error))
