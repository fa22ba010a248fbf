"""Which check notices which planted fault, with which seed: python -m tests.support.simulation.planted

Prints the table of docs/proofs.md.
"""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from tests.support.simulation.faults import PLANTED as PLANTED_IN_KERNEL
from tests.support.simulation.faults import Planted
from tests.support.simulation.faults_of_hands import PLANTED_IN_HANDS
from tests.support.simulation.image import Violation
from tests.support.simulation.power import live
from tests.support.simulation.runs import keep_runs
from tests.support.simulation.whole import simulate

SEEDS: Final = 12  # tried before a fault counts as unnoticed
IMAGES: Final = 60
TOGETHER: Final = 10  # lives of runs count as one seed: hands change often, and one life is short
PLANTED: Final[tuple[Planted, ...]] = (*PLANTED_IN_KERNEL, *PLANTED_IN_HANDS)


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """How a fault was noticed."""

    harness: str
    check: str
    seed: int


HARNESSES: Final[dict[str, Callable[[int], object]]] = {
    "whole kernel": simulate,
    "power cuts": lambda seed: live(seed, images=IMAGES),
    "runs": lambda seed: [keep_runs(TOGETHER * seed + number) for number in range(TOGETHER)],
}


def caught_with(planted: Planted, *, harness: str, seed: int) -> Caught | None:
    """Whether this seed notices it."""
    with planted.plant():
        try:
            HARNESSES[harness](seed)
        except Violation as violation:
            return Caught(harness=harness, check=violation.check, seed=seed)
        except AssertionError as own:
            if not str(own).startswith("BUG:"):
                raise
            return Caught(harness=harness, check="the kernel's own assertion", seed=seed)
    return None


def caught(planted: Planted) -> Caught | None:
    """The first seed that notices it."""
    # The hands that keep runs are real in one harness only.
    harnesses = ("runs",) if planted in PLANTED_IN_HANDS else tuple(HARNESSES)
    tries = ((harness, seed) for harness in harnesses for seed in range(SEEDS))
    return next(filter(None, (caught_with(planted, harness=h, seed=s) for h, s in tries)), None)


def table() -> str:
    """The rows of the page."""
    rows = ["| fault | what it breaks | harness | check | seed |", "| --- | --- | --- | --- | --- |"]
    for planted in PLANTED:
        found = caught(planted)
        where = f"{found.harness} | {found.check} | {found.seed}" if found else "none | none | none"
        rows.append(f"| {planted.name} | {planted.what} | {where} |")
    return "\n".join(rows)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(table())
