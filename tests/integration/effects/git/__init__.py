"""Worktrees on real repositories in a bad state."""
