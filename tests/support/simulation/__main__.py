"""Runs simulations until one fails, which then says its seed: one seed again, or so many fresh ones.

python -m tests.support.simulation SEED | --rounds ROUNDS
"""

import argparse
import logging
import time

from tests.support.simulation.power import live
from tests.support.simulation.runs import keep_runs
from tests.support.simulation.seeds import fresh_seed, told
from tests.support.simulation.sweep import sweep
from tests.support.simulation.whole import simulate

IMAGES = 160  # as the tests take


def main() -> None:
    """Each seed through every simulation."""
    parser = argparse.ArgumentParser(prog="make sim")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("seed", nargs="?", type=int)
    which.add_argument("--rounds", type=int)
    said = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a disk that fails is what this is about
    seeds = [fresh_seed() for _ in range(said.rounds)] if said.seed is None else [said.seed]
    for seed in seeds:
        begun = time.monotonic()
        with told(seed):
            run = simulate(seed)
            life = live(seed, images=IMAGES)
            turns, _ = sweep(seed, moment="turn", end="kill")
            operations, _ = sweep(seed, moment="operation", end="power")
            kept = keep_runs(seed)
        took = time.monotonic() - begun
        print(f"seed {seed}: ended by {', '.join(run.ends)}; then {life.images} power cuts; {took:.1f} s")
        print(f"  a short history ended at each of {turns} turns and {operations} writes and syncs")
        print(
            f"  {kept.runs} runs over {kept.rounds} killed daemons, {kept.lost} lost, {kept.typed} prompts typed"
        )
        print(f"  logs {run.log_hash}, {life.log_hash}")
    print(f"sim: {len(seeds)} seeds, everything held")


if __name__ == "__main__":
    main()
