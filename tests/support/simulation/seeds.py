"""Seeds of a simulation: drawn once, told when they fail, given again to replay."""

import random
from collections.abc import Generator
from contextlib import contextmanager


def fresh_seed() -> int:
    """One that nobody has tried: small enough to be typed."""
    return random.SystemRandom().randrange(1_000_000, 1_000_000_000)


@contextmanager
def told(seed: int) -> Generator[None]:
    """Whatever fails inside says how it is done again."""
    try:
        yield
    except BaseException as fault:
        fault.add_note(f"seed {seed}; replay it with: make sim SEED={seed}")
        raise
