"""Whatever comes in from outside is read or refused, and nothing else happens."""
