"""What of a text that we typed stands on the screen: it is no word of the program's.

A text that says `Overwrite? [y/n]` looks like a question once it stands in an input line; and a text that a program
did not take must not be sent by an Enter. Programs draw what they are given in frames, folded and indented, or name a
long paste by a mark of their own: compared is what is left without blanks and frames. Pure.
"""

import re
from itertools import accumulate
from typing import Final

from msgspec.structs import replace

from moduprompt.effects.runner.status.facts import Sight

END_CHARS: Final = 24  # of a text's beginning or end: nobody's screen has them by accident
TOLD_CHARS_MIN: Final = 8  # a shorter text may stand anywhere
LINE_CHARS_MIN: Final = (
    6  # a line so short is ours only beside another one that is: `1. Yes` may be an answer
)
ON_SCREEN_CHARS_MAX: Final = 20_000  # of a text; no screen has more of it
ON_SCREEN_LINES_MAX: Final = 200
_FRAME: Final = re.compile(r"[\s│┃|─━┄╌╭╮╰╯┌┐└┘├┤▌▎▏▐█▀▄>❯›»→▶►●]+")
_MARK: Final = re.compile(
    r"\[\s*[Pp]ast(?:e|ed)\b[^\]]{0,80}\]?"
)  # [Pasted text #1 +30 lines], [paste #1 +31 lines]


def is_short(text: str) -> bool:
    """Whether it may stand anywhere by accident."""
    return len(_bare(text)) < TOLD_CHARS_MIN


def stands_there(text: str, sight: Sight) -> bool:
    """Whether its beginning or its end is seen, or the mark of a paste; of a very short text a line of its own."""
    if any(_MARK.search(line) for line in sight.lines):
        return True
    wanted, lines = _bare(text), tuple(map(_bare, sight.lines))
    if is_short(text):
        return wanted in lines  # a line of its own
    seen = "".join(lines)
    return wanted[-END_CHARS:] in seen or wanted[:END_CHARS] in seen


def lines_below(text: str, sight: Sight) -> int | None:
    """How many lines that aren't blank stand below its end; None where that is not seen."""
    wanted = _bare(text)
    below = 0
    for line in reversed(sight.lines):
        bare = _bare(line)
        is_end = len(bare) >= min(LINE_CHARS_MIN, len(wanted)) and (
            wanted.endswith(bare) or wanted[-END_CHARS:] in bare
        )
        if is_end or _MARK.search(line):
            return below
        below += bool(line.strip())
    return None


def without(text: str, sight: Sight) -> Sight:
    """The screen with nothing in those lines that are of this text.

    Ours are rows that follow one another as the text does: a whole line of it, or two rows at least that begin or end as a line of
    it does. A question that has only some words of a line is none of ours.
    """
    rows = [(at, bare) for at, bare in enumerate(map(_bare, sight.lines)) if bare]
    lines = [bare for bare in map(_bare, _ends_of(text)) if bare]
    downwards = _chains([bare for _, bare in rows], lines)
    upwards = _chains([bare[::-1] for _, bare in reversed(rows)], [line[::-1] for line in reversed(lines)])
    ours = {rows[n][0] for n in downwards} | {rows[len(rows) - 1 - n][0] for n in upwards}
    kept = tuple("" if at in ours else line for at, line in enumerate(sight.lines))
    return replace(sight, lines=kept)


def _ends_of(text: str) -> list[str]:
    """The lines of a text that may stand on a screen: of a very long one, its beginning and its end."""
    if len(text) > ON_SCREEN_CHARS_MAX:
        half = ON_SCREEN_CHARS_MAX // 2
        text = f"{text[:half]}\n{text[-half:]}"
    lines = text.split("\n")
    half = ON_SCREEN_LINES_MAX // 2
    return lines if len(lines) <= 2 * half else lines[:half] + lines[-half:]


def _chains(rows: list[str], lines: list[str]) -> set[int]:
    """The rows of all chains that begin as a line does, and are that whole line or two rows at least."""
    whole = "".join(lines)
    begins = (0, *accumulate(map(len, lines)))
    ends, found = frozenset(begins), set[int]()
    open_: dict[int, int] = {}  # by where in the text it has come to: the first row of the longest such chain
    for at, row in enumerate(rows):
        open_ = {
            upto + len(row): first
            for upto, first in (dict.fromkeys(begins, at) | open_).items()
            if whole.startswith(row, upto)
        }
        told_from = max((n for n in range(at + 1) if len(rows[n]) >= LINE_CHARS_MIN), default=-1)
        chains = (
            first for upto, first in open_.items() if first <= told_from and (at > first or upto in ends)
        )
        found.update(range(min(chains, default=at + 1), at + 1))
    return found


def _bare(text: str) -> str:
    return _FRAME.sub("", text)
