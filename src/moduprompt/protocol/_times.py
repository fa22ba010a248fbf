"""Time on the wire: RFC 3339, UTC, microseconds, `Z`. Inside: microseconds since 1970.

Both directions are exact; the text form sorts like the number.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NewType

Micros = NewType("Micros", int)
"""Microseconds since 1970-01-01T00:00:00Z."""

SECOND: Final = 1_000_000
_FORM: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_timestamp(at: Micros) -> str:
    """The wire form: `2026-11-22T15:40:00.000000Z`."""
    seconds, micros = divmod(at, SECOND)
    return f"{_to_second(seconds)}.{micros:06d}Z"


def to_micros(timestamp: str) -> Micros:
    """The number a wire form stands for. Raises ValueError on anything else."""
    if _FORM.fullmatch(timestamp) is None:
        raise ValueError(f"{timestamp[:40]!r} is no time of the wire")
    since = datetime.fromisoformat(timestamp) - _EPOCH
    return Micros((since.days * 86_400 + since.seconds) * SECOND + since.microseconds)


def from_rfc_3339(text: str) -> Micros:
    """The time of any RFC 3339 form, to the microsecond: for what people and programs ask with.

    Raises ValueError on anything else, and on times outside the years 1 to 9999.
    """
    if _RFC_3339.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no time of RFC 3339")
    try:
        since = datetime.fromisoformat(text.upper()) - _EPOCH
    except OverflowError as fault:
        raise ValueError(f"{text[:40]!r} is no time we can count to") from fault
    return Micros((since.days * 86_400 + since.seconds) * SECOND + since.microseconds)


@lru_cache(maxsize=16)  # what happens at the same time is written in the same second
def _to_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(timespec="seconds")
