"""The demo against real repositories."""
