"""Proofs by simulation: a seed decides what happens, and what must hold does."""
