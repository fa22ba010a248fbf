"""Content-addressed bytes: what people wrote and terminals printed, by the hash of it."""
