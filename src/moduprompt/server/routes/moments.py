"""`as_of=`: the moment a read is about. A sequence of the workspace, or a time of RFC 3339.

A time means the last event that is not later. What is beyond the head, in the future or
before the first event is refused: an answer about the past must never change.
"""

from typing import TypeAlias

import msgspec
from starlette.requests import Request

from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.tracks import WAIT_S
from moduprompt.kernel.visibility import may_see
from moduprompt.protocol import (
    SEQ_MAX,
    Actor,
    Code,
    Micros,
    Refused,
    Rejection,
    Subject,
    from_rfc_3339,
    invalid,
    misfit,
    refusal,
    to_timestamp,
)
from moduprompt.server.desk import Desk, desk_of

HINT = "a sequence, or a time such as 2026-11-22T15:40:00Z; in a query a + is written %2B"


class AtSeq(msgspec.Struct, frozen=True, kw_only=True):
    """When the workspace's log ended at this sequence."""

    seq: int


class AtTime(msgspec.Struct, frozen=True, kw_only=True):
    """After the last event that is not later."""

    at: Micros


AsOf: TypeAlias = AtSeq | AtTime


def as_of(request: Request) -> AsOf | None:
    """What was asked for; None for the present. Raises Refused (`invalid_schema`)."""
    text = request.query_params.get("as_of")
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        if len(text) > 16 or not 1 <= int(text) <= SEQ_MAX:
            raise Refused(misfit("/as_of", f"is no sequence: they go from 1 to {SEQ_MAX}", hint=HINT))
        return AtSeq(seq=int(text))
    try:
        return AtTime(at=from_rfc_3339(text))
    except ValueError:
        raise Refused(misfit("/as_of", "is neither a sequence nor a time", hint=HINT)) from None


async def moment_of(request: Request, ledger: Ledger) -> int | None:
    """The sequence that is meant in this workspace; None for the present. Raises Refused."""
    wanted = as_of(request)
    return None if wanted is None else await seq_of(desk_of(request), ledger, wanted)


async def seq_of(desk: Desk, ledger: Ledger, wanted: AsOf) -> int:
    """The sequence that is meant in this workspace. Raises Refused."""
    feed, home = desk.kernel.feed, ledger.workspace_id
    if isinstance(wanted, AtSeq):
        head = feed.head(home)
        if wanted.seq > head:
            raise Refused(_beyond(f"its log ends at {head}", home=home, head=head))
        return wanted.seq
    # An event that is decided has its time already: a second look must not find more than the first.
    decided, now = ledger.seq, desk.kernel.now()
    if wanted.at > max(now, ledger.last_time):
        raise Refused(_beyond(f"it is {to_timestamp(now)}", home=home, head=decided))
    if not await feed.wait_past(home, decided - 1, timeout_s=WAIT_S):
        raise Refused(refusal(Code.UNAVAILABLE, "the disk does not keep up", hint="ask again"))
    found = await desk.kernel.past.seq_at(home, wanted.at, head=feed.head(home))
    if found == 0:
        raise Refused(
            invalid(
                "as_of_before_first",
                f"workspace {home} was not there at {to_timestamp(wanted.at)}",
                hint="mpctl events list --limit 1 shows its first event",
            )
        )
    return found


class Sight:
    """What an actor may see of the past: what it may see now, and could see then.

    So the past shows nobody more than the present does, and is for nobody richer than it was.
    """

    def __init__(self, actor: Actor, now: Ledger, then: Ledger | None) -> None:
        self._actor = actor
        self._now = now
        self._then = then

    def shows(self, subject: Subject) -> bool:
        """Whether this subject is there for the actor."""
        if not may_see(self._actor, self._now, subject):
            return False
        return self._then is None or may_see(self._actor, self._then, subject)


async def sight_of(desk: Desk, actor: Actor, *, ledger: Ledger, seq: int | None) -> Sight:
    """For users the past needs no folding: they see all of it."""
    if seq is None or actor.kind in ("user", "system"):
        return Sight(actor, ledger, None)
    then = await desk.kernel.past.ledger(ledger.workspace_id, seq=seq, imported_to=ledger.imported_to)
    return Sight(actor, ledger, then)


def _beyond(where: str, *, home: str, head: int) -> Rejection:
    return invalid(
        "as_of_beyond_head",
        f"workspace {home} is not there yet: {where}",
        hint="leave as_of out to read the present",
        head=head,
    )
