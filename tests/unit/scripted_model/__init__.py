"""The scripted model: its scripts, its tools, and which step comes next."""
