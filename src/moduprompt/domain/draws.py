"""Numbers that look random and are not: drawn from a decision's seed alone, so that a log decides the same again."""

_MASK = (1 << 64) - 1


def mixed(seed: int) -> int:
    """A well-spread 64-bit number from a seed: one step of SplitMix64 (Steele et al., 2014)."""
    z = (seed + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
