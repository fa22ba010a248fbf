"""A git worktree as the place of execution: many readers, one writer."""
