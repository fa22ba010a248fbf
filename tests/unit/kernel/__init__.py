"""The way of a command, on a log in memory and a clock that stands."""
