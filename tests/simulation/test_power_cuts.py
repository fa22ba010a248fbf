"""Ten thousand power cuts: no acknowledged command is lost, none is half there, no image is unreadable."""

import pytest

from tests.support.simulation.power import live
from tests.support.simulation.seeds import fresh_seed, told

LIVES = 62  # fixed ones; with the fresh ones that makes 10,240 images
FRESH = 2  # seeds that nobody has tried, in every run
IMAGES = 160  # of each life: some seconds, so that both cores share the work evenly


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(LIVES))
def test_no_power_cut_takes_what_was_acknowledged(seed: int) -> None:
    with told(seed):
        assert live(seed, images=IMAGES).images >= IMAGES


@pytest.mark.slow
@pytest.mark.parametrize("number", range(FRESH))
def test_no_power_cut_takes_what_was_acknowledged_with_a_fresh_seed(number: int) -> None:
    seed = fresh_seed()
    with told(seed):
        assert live(seed, images=IMAGES).images >= IMAGES


def test_the_same_seed_gives_the_same_log() -> None:
    assert live(7, images=20) == live(7, images=20)
    assert live(7, images=20) != live(8, images=20)
