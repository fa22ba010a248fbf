"""Tests against real files, processes, terminals and repositories."""
