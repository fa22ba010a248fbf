"""The daemon's face: HTTP over a Unix socket. It has no rules of its own."""
