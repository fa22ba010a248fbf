"""The composition root as a process: how it starts, refuses to, and ends."""
