"""What a run is doing, from what its keeper can see: rules with names and versions.

The rules observe; they never conclude more than they saw. A foreground process that is
blocked in a read of its terminal waits for input, whatever program it is. A program
that is merely quiet is working: silence is normal.
"""

from typing import Final

import msgspec

from moduprompt.domain.run.commands import ObservedStatus
from moduprompt.effects.runner.port import StatusReply

QUIET_MS: Final = 150  # a program that still prints its question is not yet waiting for the answer


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An observation: what, by which rule, on what evidence."""

    status: ObservedStatus
    rule: str
    rule_version: int
    evidence: str


def observe(reply: StatusReply) -> Seen | None:
    """What one look tells; None where it tells nothing."""
    if reply.state != "running":
        return None
    if (
        reply.waiting_on_tty
        and reply.canonical
        and reply.quiet_ms >= QUIET_MS
        and not reply.input_waiting_bytes
    ):
        return Seen(status="waiting_input", rule="tty_read", rule_version=1, evidence=reply.evidence)
    if reply.waiting_on_tty and reply.canonical:
        return None  # in between: the next look is soon
    return Seen(status="working", rule="process_alive", rule_version=1, evidence=reply.evidence or "it runs")
