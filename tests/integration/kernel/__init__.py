"""The kernel on a real log."""
