"""The whole kernel through crashes, power cuts and bad disks: what must hold holds after every answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.simulation.seeds import fresh_seed, told
from tests.support.simulation.whole import simulate

SEEDS = 60  # fixed ones, six machines each
FOUND = (5_000_055, 125_646_881)  # fresh ones that once found something
FRESH = 20  # seeds that nobody has tried, in every run
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seed", [*range(SEEDS), *FOUND])
def test_what_must_hold_holds(seed: int) -> None:
    with told(seed):
        assert simulate(seed).promises > 0


@pytest.mark.parametrize("number", range(FRESH))
def test_what_must_hold_holds_with_a_fresh_seed(number: int) -> None:
    seed = fresh_seed()
    with told(seed):
        assert simulate(seed).promises > 0


def test_the_same_seed_gives_the_same_log_in_another_process() -> None:
    program = "from tests.support.simulation.whole import simulate; print(simulate(5).log_hash)"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }

    assert hashes == {f"{simulate(5).log_hash}\n"}
    assert simulate(6).log_hash != simulate(5).log_hash


def test_every_kind_of_end_is_met() -> None:
    met = {end for seed in range(6) for end in simulate(seed).ends}

    assert {"power between", "power within", "kill between", "kill within", "clean"} <= met
