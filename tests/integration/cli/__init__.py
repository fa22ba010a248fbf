"""The command line against real repositories."""
