"""The keeper: one small process that owns one run's terminal and outlives the daemon.

It stands alone: standard library only, nothing of the rest of the project, no asyncio. Modules here
avoid `typing`, `collections`, `socket`, `selectors` and `pathlib` at run time, because each keeper pays
for them in memory that no other process shares. The formats it defines (`wire`, `journal`, `recording`)
are read by the daemon as well; they are described in docs/keeper-protocol.md.
"""
