"""Hostile bytes, and everything of ours that reads bytes."""
