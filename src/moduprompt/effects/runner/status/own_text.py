"""What of a text that we typed stands on the screen: it is no word of the program's.

A text that says `Overwrite? [y/n]` looks like a question once it stands in an input line; and a text that a program
did not take must not be sent by an Enter. Programs draw what they are given in frames, folded and indented, or name a
long paste by a mark of their own: compared is what is left without blanks and frames. Pure.
"""

import re
from typing import Final

from msgspec.structs import replace

from moduprompt.effects.runner.status.facts import Sight

END_CHARS: Final = 24  # of a text's beginning or end: nobody's screen has them by accident
TOLD_CHARS_MIN: Final = 8  # a shorter text may stand anywhere
LINE_CHARS_MIN: Final = (
    6  # a line so short is ours only beside another one that is: `1. Yes` may be an answer
)
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
    """The screen with nothing in those lines that are of this text."""
    wanted = _bare(text)
    bare = tuple(map(_bare, sight.lines))
    ours = [len(line) >= LINE_CHARS_MIN and line in wanted for line in bare]
    for at in (*range(1, len(bare)), *reversed(range(len(bare) - 1))):
        beside = any(ours[max(at - 1, 0) : at + 2])
        ours[at] = ours[at] or (beside and bool(bare[at]) and bare[at] in wanted)
    lines = tuple("" if own else line for own, line in zip(ours, sight.lines, strict=True))
    return replace(sight, lines=lines)


def _bare(text: str) -> str:
    return _FRAME.sub("", text)
