"""`mpctl log`: the stored bytes themselves, and the proof that they hold.

`verify` needs nothing but the bytes: it follows the hash chain, counts the sequences,
folds everything from zero with the code that decisions are made on, and compares head and
state with what the daemon says of itself.
"""

import argparse
from typing import Final

import msgspec

from moduprompt.cli.call import Call
from moduprompt.cli.faults import CallFailed, failed
from moduprompt.cli.lookup import workspace_of
from moduprompt.cli.printing import print_json
from moduprompt.cli.progress import waiting_for
from moduprompt.cli.verbs import Verb, whole
from moduprompt.client import Client, LogHead
from moduprompt.domain.registry import UnreadableEvent
from moduprompt.kernel.ledger import ChainBroken, Ledger
from moduprompt.protocol import SYSTEM_WORKSPACE, Code, WorkspaceId, decode_event, encode
from moduprompt.storage.hashing import first_hash
from moduprompt.storage.port import Head, StoredEvent

PAGE: Final = 500  # of one request; half a megabyte of ordinary events


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace's log that holds."""

    workspace_id: WorkspaceId
    name: str
    seq: int
    head_hash: str
    state_hash: str


async def _verify(call: Call) -> None:
    client = await call.client()
    named = {SYSTEM_WORKSPACE: "system"}
    if call.words.maybe("workspace") or call.environ.get("MP_WORKSPACE"):
        only = await workspace_of(call)
        named = {only: only}
    else:
        named |= {WorkspaceId(each.id): each.name for each in await call.workspaces()}
    verified: list[Verified] = []
    for workspace_id, name in named.items():
        async with waiting_for(f"reading the log of {name}"):
            verified.append(await verify_log(client, workspace_id, name=name))
    lines = [f"{each.name}: {each.seq} events, chain and state hold ({each.head_hash})" for each in verified]
    total = sum(each.seq for each in verified)
    call.show(
        encode({"verified": verified}),
        "\n".join([*lines, f"the log holds: {total} events in {len(verified)} workspaces"]),
    )


async def _show(call: Call) -> None:
    client = await call.client()
    workspace_id = await workspace_of(call)
    after, left = call.words.number("start"), call.words.number("limit")
    while left > 0:
        page = await client.read_events(workspace_id, from_=after, limit=min(PAGE, left), raw=True)
        for data in page.items:
            print_json(bytes(data))
        if not page.items:
            return
        left -= len(page.items)
        after = decode_event(page.items[-1]).seq_global


async def verify_log(client: Client, workspace_id: WorkspaceId, *, name: str) -> Verified:
    """Replay one workspace from zero. Raises CallFailed that names the first event that does not fit."""
    head = await client.log_head(workspace_id)
    ledger = Ledger(Head(workspace_id=workspace_id, seq=0, head_hash=first_hash(workspace_id), epoch=0))
    while ledger.seq < head.seq:
        limit = min(PAGE, head.seq - ledger.seq)
        page = await client.read_events(workspace_id, from_=ledger.seq, limit=limit, raw=True)
        if not page.items:
            raise _broken(f"workspace {workspace_id}: the log ends at {ledger.seq}, its head is {head.seq}")
        for data in page.items:
            _take(ledger, bytes(data))
    _compare(ledger, head)
    return Verified(
        workspace_id=workspace_id,
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
        raise _broken(f"{where}: {fault}") from fault


def _compare(ledger: Ledger, head: LogHead) -> None:
    where = f"workspace {ledger.workspace_id} at {ledger.seq}"
    if ledger.head_hash != head.head_hash:
        raise _broken(f"{where}: the last bytes hash to {ledger.head_hash}, the head says {head.head_hash}")
    if ledger.state_hash() != head.state_hash:
        raise _broken(
            f"{where}: the replay arrives at state {ledger.state_hash()}, the daemon is at {head.state_hash}"
        )


def _broken(message: str) -> CallFailed:
    return failed(
        Code.UNKNOWN, message, hint="stop the daemon and keep a copy of its data before anything else"
    )


def _shown(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="start", metavar="N", type=whole, default=0, help="after this sequence; default 0"
    )
    parser.add_argument("--limit", metavar="N", type=whole, default=1_000_000, help="at most so many")


VERBS: Final = (
    Verb(
        "verify",
        _verify,
        summary="replay every log from zero and compare",
        more="Without --workspace: all workspaces, the system's too.",
    ),
    Verb("show", _show, summary="print the stored bytes, one event a line", arguments=_shown),
)
