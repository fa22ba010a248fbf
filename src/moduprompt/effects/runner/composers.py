"""Who types into which run, and where a draft stands that nobody has sent yet.

One person types at a time; the others watch. A prompt is never typed into a person's half-written
line: while one stands there, prompts wait. What stands there is known from the keys alone, so the rule
is careful: a line counts as a draft from its first character until Enter, Ctrl-C, Ctrl-D or Ctrl-U, also
after its author has gone. Of no meaning after the run, and forgotten with the daemon.
"""

import re
from typing import Final

from moduprompt.effects.runner.port import Author

_ENDS: Final = re.compile(rb"[\r\n\x03\x04\x15]")
_NO_TEXT: Final = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[OP].|\x1b.|[\x00-\x1f\x7f]", re.DOTALL
)  # keys without a character, and what a terminal answers by itself
_PASTE_ENDS: Final = b"\x1b[201~"


class Composers:
    """The composer of each run: one holder, perhaps a draft."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[object, Author]] = {}
        self._drafts: set[str] = set()

    def take(self, run_id: str, seat: object, author: Author) -> Author | None:
        """None where it is this seat's from now on; else who has it."""
        held = self._holders.setdefault(run_id, (seat, author))
        return None if held[0] is seat else held[1]

    def let_go(self, run_id: str, seat: object) -> None:
        """The seat is empty; a draft stays where it is. Twice is fine."""
        held = self._holders.get(run_id)
        if held is not None and held[0] is seat:
            del self._holders[run_id]

    def typed(self, run_id: str, keys: bytes) -> None:
        """A person's keys have gone to the terminal."""
        pasted, _, typed = keys.rpartition(_PASTE_ENDS)
        ends = [match.end() for match in _ENDS.finditer(typed)]
        if ends:
            self._drafts.discard(run_id)
        rest = typed[ends[-1] :] if ends else pasted + typed
        if _NO_TEXT.sub(b"", rest):
            self._drafts.add(run_id)

    def has_draft(self, run_id: str) -> bool:
        """Whether a half-written line may stand in the run's terminal."""
        return run_id in self._drafts

    def forget(self, run_id: str) -> None:
        """The run is over, or starts afresh."""
        self._drafts.discard(run_id)
