"""Sees that a prompt has reached its program: the fourth state, after accepted, placed and submitted.

The terminal's driver holds what was typed until the program reads it. In line mode a line that is read is
a line that the program has. In raw mode programs read all the time, also while they do something else: there
it counts once the program has printed something behind the last key. What structured programs say of
their turns, and what their screens show later, is better evidence; whichever comes first is kept.
"""

from typing import Final

import msgspec

from moduprompt.domain.decider import Intent
from moduprompt.domain.run.intents import WatchTurn
from moduprompt.domain.session.commands import ReportTurn
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port

RULE_VERSION: Final = 1


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """That a program has what was typed: by which rule, on what evidence."""

    rule: str
    evidence: str


class TurnWatcher:
    """The `Hand` that looks whether a turn has begun."""

    handles = (WatchTurn,)

    def __init__(self, backend: port.Backend, reporter: Reporter) -> None:
        self._backend = backend
        self._reporter = reporter

    async def carry_out(self, intent: Intent) -> bool:
        """One look. False: not yet, or not known."""
        assert isinstance(intent, WatchTurn), f"BUG: {type(intent).__name__} is no turn"
        found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Unreachable):
            return False
        if isinstance(found, port.Gone):
            return True
        async with found as link:
            try:
                reply = await link.status()
            except port.LinkClosedError:
                return False
        taken = taken_by(reply, output_bytes=intent.output_bytes)
        if taken is None:
            return reply.state != "running"
        said = ReportTurn(
            workspace_id=intent.workspace_id,
            session_id=intent.session_id,
            prompt_id=intent.prompt_id,
            rule=taken.rule,
            rule_version=RULE_VERSION,
            evidence=taken.evidence,
        )
        await report(self._reporter, said, key=f"prompt/{intent.prompt_id}/turn")
        return True


def taken_by(reply: port.StatusReply, *, output_bytes: int) -> Taken | None:
    """What one look says; None where it says nothing. `output_bytes`: printed when the last key was typed."""
    if reply.state != "running" or reply.unread_bytes != 0 or reply.input_waiting_bytes:
        return None
    if reply.canonical:
        return Taken(rule="line_read", evidence="the program has read every line that was typed")
    printed = reply.output_bytes - output_bytes
    if printed <= 0:
        return None
    return Taken(
        rule="read_and_answered",
        evidence=f"the program has read all that was typed, and printed {printed} bytes since",
    )
