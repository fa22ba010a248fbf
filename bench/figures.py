"""A figure: what was measured, beside the yardstick that was measured with it.

A benchmark is `async def name(scale) -> list[Figure]`, listed in `bench.benchmarks.BENCHMARKS`. Each runs in a
process of its own and hands its figures over as JSON, so all of this is data.
"""

import re
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final, Literal, Self, TypeAlias

import msgspec

ROUNDS: Final = 5  # of each side, in turns: what disturbs the machine then disturbs both
_GOAL: Final = re.compile(r"(?P<ratio>ratio )?(?P<sense>>=|<=|<|>) (?P<bound>[\d,]+(?:\.\d+)?)(?: \S.*)?")


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured: everything, or just enough to see that the benchmark works."""

    is_quick: bool = False

    def of(self, full: int, *, quick: int) -> int:
        """A number of this scale."""
        return quick if self.is_quick else full

    @property
    def rounds(self) -> int:
        """Of each side."""
        return self.of(ROUNDS, quick=1)


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What a figure should be."""

    of_ratio: bool
    sense: Literal["more", "less"]
    bound: float

    @staticmethod
    def parse(text: str) -> "Goal":
        """From `ratio >= 0.4`, `< 15 ms`, `>= 4 x`."""
        found = _GOAL.fullmatch(text)
        assert found is not None, f"BUG: no goal: {text}"
        return Goal(
            of_ratio=found["ratio"] is not None,
            sense="more" if found["sense"].startswith(">") else "less",
            bound=float(found["bound"].replace(",", "")),
        )


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a profile: a function, and its share of the samples."""

    where: str
    share: float


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """What a figure is a point of, for a plot. Each line is a name and its points."""

    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    is_log_x: bool = False


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the results. `value` and `yardstick` have the same unit."""

    name: str
    unit: str
    value: float
    goal: str
    yardstick_name: str = ""
    yardstick: float | None = None
    note: str = ""
    profile: tuple[Spent, ...] = ()
    curve: Curve | None = None

    @property
    def ratio(self) -> float | None:
        """Of the yardstick; None where there is none."""
        return None if not self.yardstick else self.value / self.yardstick

    @property
    def of_goal(self) -> float:
        """How much of the goal was reached; 1 is just enough, whichever way the figure counts.

        Infinitely much where there is no goal: what could not be compared is told, and is no miss.
        """
        if not self.goal:
            return float("inf")
        goal = Goal.parse(self.goal)
        reached = self.ratio if goal.of_ratio else self.value
        assert reached is not None, f"BUG: {self.name} has a goal for its ratio and no yardstick"
        if goal.sense == "more":
            return reached / goal.bound
        return goal.bound / reached if reached else float("inf")

    @property
    def is_missed(self) -> bool:
        """Whether the goal was not reached."""
        return self.of_goal < 1


Benchmark: TypeAlias = Callable[[Scale], Awaitable[list[Figure]]]


async def in_turns(
    ours: Callable[[], Awaitable[float]], theirs: Callable[[], Awaitable[float]], *, rounds: int = ROUNDS
) -> tuple[float, float]:
    """The medians of both, measured one after the other, again and again."""
    left: list[float] = []
    right: list[float] = []
    for _ in range(rounds):
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


def distribution(unit: str, **lines: list[float]) -> Curve:
    """Which share of the values is not above each value, in a hundred steps."""
    steps = [step / 100 for step in range(101)]
    return Curve(
        x=unit,
        y="share not above",
        lines={name: [(quantile(values, step), step) for step in steps] for name, values in lines.items()},
        is_log_x=True,
    )
