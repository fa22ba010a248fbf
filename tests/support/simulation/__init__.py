"""A whole kernel on a disk, a clock and a scheduler that a seed decides."""
