"""A figure: what was measured, beside the yardstick that was measured with it."""

import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Self

import msgspec

ROUNDS = 5  # of each side, in turns: what disturbs the machine then disturbs both


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the results. `value` and `yardstick` have the same unit; more is better unless said."""

    name: str
    unit: str
    value: float
    goal: str
    yardstick_name: str = ""
    yardstick: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Of the yardstick; None where there is none."""
        return None if not self.yardstick else self.value / self.yardstick


async def in_turns(
    ours: Callable[[], Awaitable[float]], theirs: Callable[[], Awaitable[float]]
) -> tuple[float, float]:
    """The medians of both, measured one after the other, again and again."""
    left: list[float] = []
    right: list[float] = []
    for _ in range(ROUNDS):
        left.append(await ours())
        right.append(await theirs())
    return median(left), median(right)


class Watch:
    """Seconds of wall time and of this process's processor."""

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self.wall_s = self.cpu_s = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.perf_counter() - self._wall
        self.cpu_s = time.process_time() - self._cpu


def quantile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
