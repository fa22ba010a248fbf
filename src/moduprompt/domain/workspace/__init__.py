"""The unit of order, isolation and export: one log, its projects, its members."""
