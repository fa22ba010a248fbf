"""The rules of the house that a machine can keep: what may be imported where, and how large things get.

Each rule is a function from a module to its faults, is held against the whole tree, and is shown a sample
that breaks it. The order of the storeys is in `.importlinter`.
"""
