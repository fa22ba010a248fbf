"""Prompts into terminals: a zoo of fake programs, and the real ones; what they say they got is the truth."""
