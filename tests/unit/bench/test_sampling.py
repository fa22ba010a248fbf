"""The profile names where the processor was."""

import time

from bench.sampling import Sampler

LIMIT_S = 30


def burn() -> None:
    """Some processor time in a function of this name."""
    for _ in range(100_000):
        pass


def test_the_function_that_burns_is_found() -> None:
    end = time.monotonic() + LIMIT_S
    with Sampler() as sampler:
        while not any(spent.where.startswith("burn ") for spent in sampler.profile()):
            assert time.monotonic() < end, "no tick fell into it"
            burn()


def test_nothing_is_sampled_outside() -> None:
    with Sampler() as sampler:
        pass
    before = sampler.profile()
    burn()

    assert sampler.profile() == before
