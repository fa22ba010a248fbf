"""Which keepers do not answer at this moment, and since when: for people to see, never to decide by.

A keeper that does not answer is not dead: it may be stopped, swapped out, or held up by a disk. Its run goes on as
far as it can without it, and everything that it knows is told once it answers again.
"""

from typing import Final

from moduprompt.domain.run.view import Unanswered
from moduprompt.kernel.ports import Clock
from moduprompt.protocol import Micros, RunId, to_timestamp

PART: Final = "keepers"  # what is hindered, by its name
NAMED_MAX: Final = 3  # in that one line; `mpctl run list` shows them all


class Silences:
    """Of one daemon. Holds no more than there are keepers that it has asked."""

    def __init__(self, *, clock: Clock, hindered: dict[str, str]) -> None:
        """`hindered` is where the daemon says what doesn't go on, for whoever asks whether it is ready."""
        self._clock = clock
        self._hindered = hindered
        self._since: dict[str, tuple[Micros, str]] = {}

    def missed(self, run_id: str, why: str) -> str:
        """It has not answered; since when it has not, as people read it."""
        since, _ = self._since.get(run_id, (self._clock.now(), ""))
        self._since[run_id] = (since, why)
        self._say()
        return to_timestamp(since)

    def heard(self, run_id: str) -> None:
        """It has answered, or is gone: then others say what became of it."""
        if self._since.pop(run_id, None) is not None:
            self._say()

    def has_silent(self) -> bool:
        """Whether there is any keeper that does not answer."""
        return bool(self._since)

    def unanswered(self, run_id: RunId) -> Unanswered | None:
        """Since when its keeper has not answered; None where it does, or nobody has asked it."""
        found = self._since.get(run_id)
        return None if found is None else Unanswered(since=to_timestamp(found[0]), why=found[1])

    def _say(self) -> None:
        if not self._since:
            self._hindered.pop(PART, None)
            return
        named = [f"of run {run_id} since {to_timestamp(at)}" for run_id, (at, _) in self._since.items()]
        more = f" and {len(named) - NAMED_MAX} more" if len(named) > NAMED_MAX else ""
        self._hindered[PART] = f"no answer from the keeper {', '.join(named[:NAMED_MAX])}{more}"
