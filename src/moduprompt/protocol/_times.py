"""Time on the wire: RFC 3339, UTC, microseconds, `Z`. Inside: microseconds since 1970.

Both directions are exact; the text form sorts like the number.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, NewType

Micros = NewType("Micros", int)
"""Microseconds since 1970-01-01T00:00:00Z."""

SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_timestamp(at: Micros) -> str:
    """The wire form: `2026-11-22T15:40:00.000000Z`."""
    moment = _EPOCH + timedelta(microseconds=at)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_micros(timestamp: str) -> Micros:
    """The number a wire form stands for. Raises ValueError on anything else."""
    moment = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return Micros((moment - _EPOCH) // timedelta(microseconds=1))
