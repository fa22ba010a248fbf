"""`--as-of`: from what a person types to a moment of a workspace's past.

A sequence (`57`), how long ago (`2h`; s, m, h or d), or a time: `2026-11-22T15:40:00Z`, without a
zone in UTC like every time that is printed, without a date today's. The daemon is asked once which
sequence that is; everything of the call is then read at that one.
"""

import re
from datetime import UTC, datetime
from typing import Final

import msgspec

from moduprompt.cli.faults import misused
from moduprompt.client import AsOf, Client
from moduprompt.protocol import SECOND, Micros, WorkspaceId, decode_event, to_timestamp

UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
AGO: Final = re.compile(r"([0-9]{1,7})([smhd])")
CLOCK: Final = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?")
FORMS: Final = "57, 2h, 15:40, 2026-11-22T15:40Z"


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence of one workspace. `at` is the time that was asked for, else the event's, where it may be seen."""

    seq: int
    at: str | None

    def heading(self) -> str:
        """What stands above everything that shows the past."""
        at = "" if self.at is None else f", {self.at[:10]} {self.at[11:19]} UTC"
        return f"the past: as of event {self.seq}{at}"


def to_as_of(typed: str, *, now: Micros) -> AsOf:
    """What was typed, as it travels. Raises CallFailed."""
    if typed.isascii() and typed.isdigit() and len(typed) <= 16:
        return int(typed)
    ago = AGO.fullmatch(typed)
    try:
        if ago and typed.isascii():
            return to_timestamp(Micros(now - int(ago[1]) * UNITS_S[ago[2]] * SECOND))
        today = to_timestamp(now)[:11] if CLOCK.fullmatch(typed) and typed.isascii() else ""
        at = datetime.fromisoformat(today + typed)
        zoned = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return zoned.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    except (ValueError, OverflowError) as fault:
        raise misused(f"--as-of {typed[:40]}: is no moment", hint=f"for example {FORMS}") from fault


async def find_moment(client: Client, of: WorkspaceId, as_of: AsOf) -> Moment:
    """The moment in this workspace. Raises RequestRefused where it is not there."""
    seq = (await client.read_events(of, from_="head", limit=1, as_of=as_of)).seq_global
    if isinstance(as_of, str):
        return Moment(seq=seq, at=as_of)
    page = await client.read_events(of, from_=seq - 1, limit=1, as_of=seq)
    return Moment(seq=seq, at=decode_event(page.items[0]).timestamp if page.items else None)
