"""A model server that follows scripts instead of thinking: for tests of agent programs, ours and yours.

It speaks the four dialects that agent programs use, keeps no state but how often a fault was played, and
stands alone: standard library only, nothing of ours.
"""
