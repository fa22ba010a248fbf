"""Adapters that forget at the end: for tests, simulations and clients."""
