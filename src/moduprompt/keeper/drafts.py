"""Whose half-typed line stands in a terminal, known from a person's keys alone.

The rule is careful: a line counts as a draft from its first character until Enter, Ctrl-C, Ctrl-D or Ctrl-U,
also after its author has gone. What was pasted stands there until it is sent.
"""

import re

_ENDS = re.compile(rb"[\r\n\x03\x04\x15]")
_NO_TEXT = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[OP].|\x1b.|[\x00-\x1f\x7f]", re.DOTALL
)  # keys without a character, and what a terminal answers by itself
_PASTE_ENDS = b"\x1b[201~"


class Draft:
    """Of one terminal. `author` is empty where nothing stands there."""

    def __init__(self) -> None:
        self.author = ""

    def typed(self, keys: bytes, author: str) -> None:
        """A person's keys have gone to the terminal."""
        pasted, _, typed = keys.rpartition(_PASTE_ENDS)
        ends = [match.end() for match in _ENDS.finditer(typed)]
        if ends:
            self.author = ""
        rest = typed[ends[-1] :] if ends else pasted + typed
        if _NO_TEXT.sub(b"", rest):
            self.author = author
