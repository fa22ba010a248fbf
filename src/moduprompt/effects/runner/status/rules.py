"""Rules of screens, as data: which lines, titles and modes mean what, for one program each.

    version = 3                       # rises with every change; stands beside each observation
    program = "claude"                # an adapter's name, or "generic"
    [[rules]]                         # the first one that fits says what it is
    name = "permission_dialog"
    status = "blocked_on_permission"
    why = "a question with numbered answers, and what Esc does"
    when = [{ in = "bottom", lines = 12, has = 'Do you want to .+\\?' }, …]

All conditions of a rule must hold. Decoding is strict: an unknown field, a pattern that does not compile, a
rule without a condition on what can be seen is refused as a whole. Quiet time supports a rule and never makes
one: quiet is not idle.
"""

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

RULES_MAX: Final = 64  # of one program; a screen has some ten faces
CONDITIONS_MAX: Final = 16  # of one rule; more is a rule for one screenshot
PATTERN_CHARS_MAX: Final = 400  # one alternative for each wording of a version, with room
RULES_BYTES_MAX: Final = 64 * 1024  # of one file, by far
LINES_MAX: Final = 1_000  # of a region: no screen has more
GENERIC: Final = "generic"

Region: TypeAlias = Literal["screen", "bottom", "cursor", "title"]
ScreenStatus: TypeAlias = Literal["working", "waiting_input", "blocked_on_permission", "rate_limited"]


class RulesRefused(ValueError):
    """The file is no file of rules; says where and why."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pattern that some line of a region has, or, with `hasnt`, that none has.

    `bottom`: the last `lines` lines that aren't blank. `cursor`: that many lines up to the cursor's, and as many below.
    """

    region: Region = msgspec.field(name="in", default="bottom")
    lines: Annotated[int, msgspec.Meta(ge=1, le=LINES_MAX)] = 10
    has: str | None = None
    hasnt: str | None = None

    @property
    def pattern(self) -> str:
        """The one of both that is there."""
        return self.has if self.has is not None else self.hasnt or ""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it looks like, and what that means. A mode that is left out may be either."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$(?!\n)")]
    status: ScreenStatus
    why: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    when: Annotated[tuple[Condition, ...], msgspec.Meta(min_length=1, max_length=CONDITIONS_MAX)]
    is_alternate: bool | None = None
    bracketed_paste: bool | None = None
    cursor_shown: bool | None = None
    canonical: bool | None = None
    waiting_on_tty: bool | None = None
    quiet_ms_min: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules of one program, in order. `made_on`: versions whose screens they were made on."""

    version: Annotated[int, msgspec.Meta(ge=1)]
    program: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}$(?!\n)")]
    made_on: tuple[str, ...] = ()
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(min_length=1, max_length=RULES_MAX)]


def read_rules(raw: bytes) -> Rules:
    """The rules of a file. Raises RulesRefused."""
    if len(raw) > RULES_BYTES_MAX:
        raise RulesRefused(f"more than {RULES_BYTES_MAX} bytes")
    try:
        found = msgspec.convert(tomllib.loads(raw.decode()), type=Rules)
    except (ValueError, RecursionError) as fault:
        raise RulesRefused(str(fault) or type(fault).__name__) from fault
    names: set[str] = set()
    for rule in found.rules:
        if rule.name in names:
            raise RulesRefused(f"two rules are named {rule.name}")
        names.add(rule.name)
        _check(rule)
    return found


def _check(rule: Rule) -> None:
    if not any(each.has is not None for each in rule.when):
        raise RulesRefused(f"rule {rule.name} needs something that is seen, not only what is absent")
    for each in rule.when:
        if (each.has is None) == (each.hasnt is None):
            raise RulesRefused(f"rule {rule.name}: a condition takes one of has and hasnt")
        if not 0 < len(each.pattern) <= PATTERN_CHARS_MAX:
            raise RulesRefused(f"rule {rule.name}: a pattern has 1 to {PATTERN_CHARS_MAX} characters")
        try:
            re.compile(each.pattern)
        except (re.error, OverflowError, RecursionError) as fault:
            raise RulesRefused(f"rule {rule.name}: {each.pattern!r} is no pattern: {fault}") from fault


@cache
def rules_for(program: str) -> Rules:
    """The rules that come with us: the program's own, else those for any program."""
    folder = resources.files("moduprompt.effects.runner.status") / "rules"
    own = folder / f"{program}.toml"
    found = own if own.is_file() else folder / f"{GENERIC}.toml"
    return read_rules(found.read_bytes())
