"""The corpus of screens: real programs recorded beside a scripted model, replayed against the rules."""
