"""How long something has lasted, by the times of events."""

from typing import Final

from moduprompt.protocol import SECOND, to_micros

_TENTHS_BELOW_S: Final = 10  # under it a tenth of a second tells something
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400


def spell(since: str, until: str) -> str:
    """`0.4 s`, `12 s`, `3m05s`, `2h14m`, `5d03h`; empty where a time is none."""
    try:
        lasted = max(0, to_micros(until) - to_micros(since))
    except ValueError:
        return ""
    seconds = lasted // SECOND
    if seconds < _TENTHS_BELOW_S:
        return f"{seconds}.{lasted % SECOND * 10 // SECOND} s"
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S}m{seconds % _MINUTE_S:02}s"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S}h{seconds % _HOUR_S // _MINUTE_S:02}m"
    return f"{seconds // _DAY_S}d{seconds % _DAY_S // _HOUR_S:02}h"
