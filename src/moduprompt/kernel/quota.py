"""How many rejections one actor may leave in the log: a loop of refused commands must not fill it.

A bucket for each actor: so many at once, and from then on so many a second.
"""

from typing import Final

from moduprompt.kernel.ports import Clock
from moduprompt.protocol import SECOND, Actor, Micros

REJECTIONS_BURST: Final = 20  # a person's series of mistakes
REJECTIONS_PER_S: Final = 2  # enough to see in the log that it goes on
BUCKETS_MAX: Final = 10_000  # actors remembered; who is forgotten starts with a full bucket


class Quota:
    """What is left for each actor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, Micros]] = {}

    def has_room(self, actor: Actor) -> bool:
        """Whether a rejection may be left now."""
        return self._left(actor.id, self._clock.now()) >= 1

    def take(self, actor: Actor) -> bool:
        """As `has_room`, and it is used up."""
        now = self._clock.now()
        left = self._left(actor.id, now)
        self._buckets.pop(actor.id, None)
        if len(self._buckets) >= BUCKETS_MAX:
            del self._buckets[next(iter(self._buckets))]  # the one that was asked about longest ago
        self._buckets[actor.id] = (left - 1 if left >= 1 else left, now)
        return left >= 1

    def _left(self, actor_id: str, now: Micros) -> float:
        left, since = self._buckets.get(actor_id, (float(REJECTIONS_BURST), now))
        elapsed_s = max(0, now - since) / SECOND  # a clock may be set back
        return min(REJECTIONS_BURST, left + elapsed_s * REJECTIONS_PER_S)
