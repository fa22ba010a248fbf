"""Says what a run is doing, from one look: the keeper's facts first, then the screen by its rules.

In line mode the system itself says whether the program waits: a foreground process blocked in a read of its
terminal waits for a line, whatever program it is; for an answer where a question is the last that it printed, or
where it has switched the echo off. In raw mode every program reads all the time, and only its
screen can tell: the first rule that fits says what it is, and where none fits that is `unknown`, never a
guess. A rule never concludes from silence: a program that is merely quiet is not idle. A screen that has not
changed since a key was typed is from before the key, and tells nothing for a while. What stood on the
screen is not repeated: an observation becomes an event, and what a terminal printed can be erased.
"""

import re
from collections.abc import Iterator
from typing import Final

from moduprompt.effects.runner.port import StatusReply
from moduprompt.effects.runner.status.facts import BRACKETED_PASTE, CURSOR_SHOWN, Look, Seen, Sight
from moduprompt.effects.runner.status.rules import Condition, Rule, Rules, rules_for

QUIET_MS: Final = 150  # a program that still prints its question is not yet waiting for the answer
ANSWER_MS_MAX: Final = (
    2_000  # a program that shows nothing for so long after a key shows nothing for it at all
)
UNMATCHED: Final = "no_rule"
CALM: Final = StatusReply(
    state="running",
    fg_pgid=None,
    canonical=False,
    echo=False,
    waiting_on_tty=False,
    evidence="",
    quiet_ms=3_600_000,  # as quiet as any rule may want
    output_bytes=0,
    input_waiting_bytes=0,
    disk_refuses=False,
)
LINE: Final = "line"  # the rules of all programs that wait for a line
RETRY: Final = "retry_s"  # the group of a pattern that holds the seconds until the next try
RETRY_S_MAX: Final = 7 * 24 * 3600  # a longer window is a misreading


def observe(look: Look, rules: Rules | None = None) -> Seen | None:
    """What one look tells; None where it tells nothing (the next look is soon)."""
    if look.reply.state != "running":
        return None
    if look.reply.canonical:
        return _in_line_mode(look)
    if rules is None or look.sight is None:
        return _alive(look.reply)
    return None if is_stale(look.reply) else _on_screen(look, look.sight, rules)


def shows_question(sight: Sight, rules: Rules) -> bool:
    """Whether a raw screen of the past shows one; what the keeper knew at the time is taken for calm."""
    seen = _first_fit(Look(reply=CALM), sight, rules)
    return seen is not None and seen.status == "blocked_on_permission"


def is_stale(reply: StatusReply) -> bool:
    """Whether a raw screen is from before the last key. Keepers of before don't say."""
    if reply.canonical or reply.since_typed_ms is None or reply.printed_since_typed:
        return False
    return bool(reply.unread_bytes) or reply.since_typed_ms < ANSWER_MS_MAX


def _in_line_mode(look: Look) -> Seen | None:
    reply = look.reply
    if not reply.waiting_on_tty:
        return _alive(reply)
    if reply.quiet_ms < QUIET_MS or reply.input_waiting_bytes:
        return None
    if not reply.echo:
        evidence = f"{reply.evidence}, with the echo off"
        return Seen(status="blocked_on_permission", rule="tty_secret", rule_version=1, evidence=evidence)
    asked = None if look.sight is None else _first_fit(look, look.sight, rules_for(LINE))
    if asked is not None:
        return asked
    return Seen(status="waiting_input", rule="tty_read", rule_version=1, evidence=reply.evidence)


def _alive(reply: StatusReply) -> Seen:
    return Seen(status="working", rule="process_alive", rule_version=1, evidence=reply.evidence or "it runs")


def _on_screen(look: Look, sight: Sight, rules: Rules) -> Seen:
    evidence = f"none of {len(rules.rules)} rules fits the screen"
    return _first_fit(look, sight, rules) or Seen(
        status="unknown",
        rule=f"{rules.program}/{UNMATCHED}",
        rule_version=rules.version,
        evidence=evidence,
    )


def _first_fit(look: Look, sight: Sight, rules: Rules) -> Seen | None:
    for rule in rules.rules:
        found = _fits(rule, look, sight)
        if found is not None:
            return Seen(
                status=rule.status,
                rule=f"{rules.program}/{rule.name}",
                rule_version=rules.version,
                evidence=rule.why,
                retry_after_s=_retry_after_s(found),
            )
    return None


def _fits(rule: Rule, look: Look, sight: Sight) -> re.Match[str] | None:
    """The line that fits the rule's first pattern, where all of the rule holds."""
    reply = look.reply
    modes = (
        (rule.is_alternate, sight.is_alternate),
        (rule.bracketed_paste, BRACKETED_PASTE in sight.modes),
        (rule.cursor_shown, CURSOR_SHOWN in sight.modes),
        (rule.canonical, reply.canonical),
        (rule.waiting_on_tty, reply.waiting_on_tty),
    )
    if any(wanted is not None and wanted is not found for wanted, found in modes):
        return None
    if rule.quiet_ms_min is not None and reply.quiet_ms < rule.quiet_ms_min:
        return None
    first: re.Match[str] | None = None
    for condition in rule.when:
        match = _last_match(condition, sight)
        if (match is None) == (condition.has is not None):
            return None
        first = first or match
    return first


def _last_match(condition: Condition, sight: Sight) -> re.Match[str] | None:
    """The lowest line of the region that has the pattern: what is lower was printed later."""
    pattern = re.compile(condition.pattern)  # the library keeps what it has compiled
    matches = (pattern.search(line) for line in _region(condition, sight))
    return next((match for match in matches if match is not None), None)


def _region(condition: Condition, sight: Sight) -> Iterator[str]:
    """Its lines, the lowest first."""
    match condition.region:
        case "title":
            yield sight.title
        case "screen":
            yield from reversed(sight.lines)
        case "cursor":
            row = sight.cursor[0]
            yield from reversed(sight.lines[max(row - condition.lines, 0) : row + condition.lines + 1])
        case "bottom":
            filled = (line for line in reversed(sight.lines) if line.strip())
            for _, line in zip(range(condition.lines), filled, strict=False):
                yield line


def _retry_after_s(found: re.Match[str]) -> int | None:
    said = found.groupdict().get(RETRY)
    if said is None or not said.isascii() or not said.isdigit() or len(said) > len(str(RETRY_S_MAX)):
        return None
    return min(int(said), RETRY_S_MAX)
