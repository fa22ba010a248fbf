"""One start of an agent program inside a session: process, terminal, result."""
