"""Stores on real files."""
