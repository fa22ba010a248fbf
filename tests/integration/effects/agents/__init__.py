"""Agents on real pipes, each spoken to by its adapter."""
