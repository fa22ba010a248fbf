"""A thousand rounds of killed daemons, keepers and programs in made-up time: every run ends truly, nothing is doubled."""

import pytest

from tests.support.simulation.runs import ROUNDS, keep_runs
from tests.support.simulation.seeds import fresh_seed, told

SEEDS = 90  # fixed ones; with the fresh ones that makes 1,000 rounds
FRESH = 10  # seeds that nobody has tried, in every run
TURNS = range(5, 245, 3)  # of a daemon that takes up its runs and types: start, reports, looks, prompts


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whoever_is_killed_every_run_ends_truly_and_nothing_is_done_twice(seed: int) -> None:
    with told(seed):
        assert keep_runs(seed).rounds == ROUNDS


@pytest.mark.parametrize("number", range(FRESH))
def test_whoever_is_killed_with_a_fresh_seed(number: int) -> None:
    seed = fresh_seed()
    with told(seed):
        assert keep_runs(seed).rounds == ROUNDS


@pytest.mark.parametrize("turn", TURNS)
def test_at_whichever_turn_a_daemon_is_killed_the_next_one_goes_on(turn: int) -> None:
    """Three daemons that each die at the same turn of their loop: in the start, over a report, over a prompt."""
    with told(turn):
        keep_runs(turn, turns=(turn, turn + 1, turn + 2))


def test_what_can_happen_happens() -> None:
    """Else nothing is shown by it."""
    lives = [keep_runs(seed) for seed in range(8)]

    assert min(sum(each.lost for each in lives), sum(each.kills for each in lives)) > len(lives)
    assert sum(each.typed for each in lives) > 3 * len(lives)
    assert sum(each.interrupts for each in lives) > 3
    assert sum(each.runs for each in lives) > sum(each.lost for each in lives) + len(lives)


def test_the_same_seed_gives_the_same_rounds() -> None:
    assert keep_runs(3) == keep_runs(3)
    assert keep_runs(3) != keep_runs(4)
