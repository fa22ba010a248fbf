"""How often the trouble of a step was played: the only thing that the server remembers, and not much of it."""

import threading
from collections import OrderedDict

from moduprompt.scripted_model.conversation import Turn, untroubled

PLACES_MAX = (
    10_000  # steps whose trouble is counted at once; the one that nobody asked for longest is forgotten
)


class Troubles:
    """Counts by prompt and step, so that two agents with the same words share a count: give each its own words."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._played: OrderedDict[str, int] = OrderedDict()

    def play(self, turn: Turn) -> Turn:
        """The turn as it is served now: without its trouble when that was played often enough."""
        times = turn.trouble.times
        if times is None:
            return turn
        with self._lock:
            played = self._played.get(turn.place, 0)
            if played >= times:
                return untroubled(turn)
            self._played[turn.place] = played + 1
            self._played.move_to_end(turn.place)
            if len(self._played) > PLACES_MAX:
                self._played.popitem(last=False)
            return turn
