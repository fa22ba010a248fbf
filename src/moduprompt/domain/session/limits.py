"""What the runs of a session may take, as whoever spawned it wishes.

A limit that is not named is as the session's adapter says. A child never has more than its parent was given:
what names a limit holds for all that is spawned below.
"""

from typing import Annotated, Final

import msgspec
from msgspec.structs import asdict, replace

SECONDS_MAX: Final = 366 * 86_400  # a keeper takes no longer one; more is no limit
MEMORY_BYTES_MIN: Final = 1024 * 1024  # with less no program comes as far as its first line
MILLICORES_MIN: Final = 10  # the kernel takes no share below a hundredth of a core
MILLICORES_MAX: Final = 4_096_000
COUNT_MAX: Final = 2**50  # bytes and processes: no machine has more, and it is exact everywhere

_Seconds = Annotated[int, msgspec.Meta(ge=1, le=SECONDS_MAX)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)]


class RunLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """As facts hold it: whole numbers, and fields of later are ignored. `millicores_max`: thousandths of a core."""

    wall_s: _Seconds | None = None
    idle_s: _Seconds | None = None
    memory_bytes_max: Annotated[int, msgspec.Meta(ge=MEMORY_BYTES_MIN, le=COUNT_MAX)] | None = None
    output_bytes_max: _Count | None = None
    processes_max: _Count | None = None
    millicores_max: Annotated[int, msgspec.Meta(ge=MILLICORES_MIN, le=MILLICORES_MAX)] | None = None


class RunLimitsSpec(RunLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same as orders hold it: a limit that is not known is refused."""

    def to_limits(self) -> RunLimits:
        """What the fact says."""
        return RunLimits(**asdict(self))


def within(wanted: RunLimits | None, parent: RunLimits | None) -> RunLimits | None:
    """What a child gets: what was asked for, never more than its parent has."""
    if wanted is None or parent is None:
        return wanted or parent
    held: dict[str, int | None] = asdict(parent)
    asked: dict[str, int | None] = asdict(wanted)
    lesser = {name: least(asked[name], bound) for name, bound in held.items()}
    return replace(wanted, **lesser)


def least(first: int | None, second: int | None) -> int | None:
    """The stricter of two limits; None is no limit."""
    return min((each for each in (first, second) if each is not None), default=None)
