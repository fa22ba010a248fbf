"""Who types into which run, and where a draft stands that nobody has sent yet.

One person types at a time; the others watch. A prompt is never typed into a person's half-written
line: while one stands there, prompts wait; and while a prompt is typed, a person's keys wait (`turn`).
Forgotten with the daemon: the keeper knows a draft of before.
"""

import asyncio
from collections.abc import Callable

from moduprompt.effects.runner.port import Author
from moduprompt.keeper.drafts import Draft


class Composers:
    """The composer of each run: one holder, perhaps a draft."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[object, Author]] = {}
        self._drafts: dict[str, Draft] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._told: Callable[[str], None] | None = None

    def tell(self, told: Callable[[str], None]) -> None:
        """Call this with the run's id after each key of a person, from now on."""
        self._told = told

    def take(self, run_id: str, seat: object, author: Author) -> Author | None:
        """None where it is this seat's from now on; else who has it."""
        held = self._holders.setdefault(run_id, (seat, author))
        return None if held[0] is seat else held[1]

    def let_go(self, run_id: str, seat: object) -> None:
        """The seat is empty; a draft stays where it is. Twice is fine."""
        held = self._holders.get(run_id)
        if held is not None and held[0] is seat:
            del self._holders[run_id]

    def turn(self, run_id: str) -> asyncio.Lock:
        """Held by whoever types now: a prompt goes in whole, and no key of a person comes between."""
        return self._turns.setdefault(run_id, asyncio.Lock())

    def typed(self, run_id: str, keys: bytes, author: Author) -> None:
        """A person's keys have gone to the terminal."""
        self._drafts.setdefault(run_id, Draft()).typed(keys, author.id)
        if self._told is not None:
            self._told(run_id)

    def draft_by(self, run_id: str) -> str | None:
        """Whose half-written line may stand in the run's terminal."""
        draft = self._drafts.get(run_id)
        return draft.author or None if draft else None

    def forget(self, run_id: str) -> None:
        """The run is over, or starts afresh."""
        self._drafts.pop(run_id, None)
        self._turns.pop(run_id, None)
