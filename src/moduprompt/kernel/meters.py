"""What the daemon counts while it works: plain integers, read when somebody asks.

Counting costs next to nothing and never fails: an addition, a dictionary entry, a bisection. Nothing here
knows a text format or a clock; who measures brings seconds along. One thread counts: the event loop's.
"""

from bisect import bisect_left
from collections import Counter
from typing import Final

SECONDS: Final = (0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""From a fast disk's sync to the longest that a read waits."""
SIZES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Of batches: up to the most that the writer takes at once."""


class Histogram:
    """How often something was at most so much. The last place counts what is above every bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """It was this much, once more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Meters:
    """Everything that is counted. Each is written by one place and read by the metrics."""

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()  # by `accepted`, or the code of the refusal
        self.refused: Counter[str] = Counter()  # by the name of the limit
        self.commits = 0
        self.commits_failed = 0
        self.commit_s = Histogram(SECONDS)
        self.batch_commands = Histogram(SIZES)
        self.inbox_s = Histogram(SECONDS)
        self.events_sent = 0
        self.positions_sent = 0
        self.lag_events = Histogram((0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0))
        self.events_folded = 0
        self.fold_s = Histogram(SECONDS)
