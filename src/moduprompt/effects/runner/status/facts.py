"""One look at a run, and what it was taken for.

A look holds facts only: what the keeper said of the process and its terminal, and what stands on the screen
where somebody drew it. Pure: the same look and the same rules always give the same answer.
"""

import msgspec

from moduprompt.domain.run.commands import ObservedStatus
from moduprompt.effects.runner.port import StatusReply

BRACKETED_PASTE = 2004  # private modes, by xterm's numbers
CURSOR_SHOWN = 25


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What stands on the screen: the lines without the blanks at their ends, top line first."""

    lines: tuple[str, ...]
    cursor: tuple[int, int]  # (line, column), from 0
    title: str = ""
    is_alternate: bool = False
    modes: frozenset[int] = frozenset()
    drafts: frozenset[str] = (
        frozenset()
    )  # whose keys stand there unsent; a key that answers a question stands nowhere


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one moment. `sight` is None where nobody draws the run's screen."""

    reply: StatusReply
    sight: Sight | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An observation: what, by which rule, on what evidence.

    `retry_after_s` stands beside `rate_limited` where the program says when it tries again.
    """

    status: ObservedStatus
    rule: str
    rule_version: int
    evidence: str
    retry_after_s: int | None = None
