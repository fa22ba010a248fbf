"""Worktrees by the `git` program, behind a port: `port.py` says what is promised, `program.py` keeps it."""
