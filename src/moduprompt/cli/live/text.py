"""Text in a terminal: how wide it is, and how to keep it from doing anything but being read.

Names, reasons and evidence come from people and programs. What reaches the terminal has
no control character (C0, C1, DEL), no line break and no bidirectional override left, so
it can neither move the cursor nor pretend to be something else.
"""

import re
from functools import lru_cache

from rich.cells import cell_len  # the table of widths alone; rich's console stays unloaded

from moduprompt.protocol import ID_PATTERN
from moduprompt.views.board_rows import short

CACHE_MAX = 4_096  # pictures repeat their words; one workspace has fewer than these
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)


_ID = re.compile(ID_PATTERN.strip("^$"))


def plain(text: str) -> str:
    """The text on one line, with everything that would act instead of being read made a space."""
    return _UNSEEN.sub(" ", text).strip()


def plain_lines(text: str) -> str:
    """The same line by line, with what stands before the words: an indentation may mean something."""
    return "\n".join(_UNSEEN.sub(" ", line).rstrip() for line in text.splitlines())


def without_ids(text: str) -> str:
    """The text on one line, ids in it in the short form that people type."""
    return _ID.sub(lambda found: short(found[0]), plain(text))


@lru_cache(maxsize=CACHE_MAX)
def cells(text: str) -> int:
    """How many columns the text takes."""
    return cell_len(text)


def fit(text: str, width: int) -> str:
    """The text in at most this many columns, its end replaced by an ellipsis where it is longer."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    end = len(text)
    while end and cells(text[:end]) > width - 1:
        end -= max(1, (cells(text[:end]) - width) // 2)  # a character has at most two columns
    return text[:end] + "…"


def pad(text: str, width: int) -> str:
    """The text in exactly this many columns."""
    kept = fit(text, width)
    return kept + " " * (width - cells(kept))
