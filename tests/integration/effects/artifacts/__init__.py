"""Artifacts on a real disk."""
