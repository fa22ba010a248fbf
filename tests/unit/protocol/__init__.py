"""The language of every wire."""
