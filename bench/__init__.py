"""What the project is fast at, as ratios against something real measured in the same run.

`make bench` runs all of it and writes RESULTS.md. Nothing here is a test, and nothing
is tuned for it: full durability, the shipped settings, the real rows.
"""
