"""Agent programs: one file for each, behind one port, in one catalogue."""
