"""Streams cut into frames."""
