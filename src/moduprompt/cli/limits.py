"""Limits of runs, as people type them and read them: `memory=4G,wall=8h`, by the names of `config.toml`."""

from collections.abc import Mapping
from typing import Final

import msgspec

from moduprompt.cli.faults import misused
from moduprompt.config import LimitWords
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.limits import RunLimits, RunLimitsSpec

NAMES: Final = tuple(sorted(LimitWords.__struct_fields__))
UNITS: Final = "a size is 512M or 4G, a time 90s, 30m, 8h or 2d, cores 1.5, processes 200"
# As `started` of a keeper names them: what is told to hold or not to hold.
KEEPERS: Final = {
    "wall": "wall_s",
    "idle": "idle_s",
    "memory": "memory_bytes_max",
    "output": "output_bytes_max",
    "processes": "processes_max",
    "cores": "cpu_cores_max",
}


# The first keepers knew of none, and how a run's processes are found is told by every keeper since.
OF_BEFORE: Final = "none: its keeper is of a version that knew of none"


def to_limits(texts: tuple[str, ...]) -> RunLimitsSpec | None:
    """What `--limit` says, as often as it was said; None where it says nothing. Raises CallFailed."""
    given: dict[str, str] = {}
    for pair in ",".join(texts).split(",") if texts else ():
        name, equals, value = pair.partition("=")
        if name not in NAMES or not equals:
            message = f"no limit is named {name[:40]!r}" if equals else f"{pair[:40]!r} is no limit"
            raise misused(message, hint=f"there are: {', '.join(NAMES)}: --limit memory=4G,wall=8h")
        if name in given:
            raise misused(f"the limit {name} is said twice", hint="say it once")
        given[name] = value
    return _converted(given) if given else None


def _converted(given: dict[str, str]) -> RunLimitsSpec:
    fields: dict[str, int] = {}
    for name, value in given.items():
        try:
            fields |= _measured(name, value)
        except (ValueError, OverflowError) as fault:
            raise misused(f"{name} can't be {value[:40]!r}", hint=UNITS) from fault
    try:
        return msgspec.convert(fields, type=RunLimitsSpec)
    except msgspec.ValidationError as fault:
        raise misused(f"a limit is out of bounds: {fault}", hint=UNITS) from fault


def _measured(name: str, value: str) -> dict[str, int]:
    found = msgspec.convert({name: value}, type=LimitWords, strict=False).to_limits()
    numbers = {field: each for field, each in msgspec.structs.asdict(found).items() if each is not None}
    cores = numbers.pop("cpu_cores_max", None)
    return {"millicores_max": round(cores * 1_000)} if cores is not None else numbers


def told_of(item: RunItem) -> str | None:
    """Those of a run; of one that a keeper of before holds, that there are none."""
    is_of_before = item.pid is not None and item.caught_by is None
    return shown(item.limits, item.limits_held) or (OF_BEFORE if is_of_before else None)


def shown(limits: RunLimits | None, held: tuple[str, ...]) -> str | None:
    """Each with its value, and whether it holds on the machine of the run. None where nothing is known."""
    if limits is None:
        return ", ".join(held) or None
    values: dict[str, str | None] = {
        "wall": _time(limits.wall_s),
        "idle": _time(limits.idle_s),
        "memory": _size(limits.memory_bytes_max),
        "output": _size(limits.output_bytes_max),
        "processes": None if limits.processes_max is None else str(limits.processes_max),
        "cores": None if limits.millicores_max is None else f"{limits.millicores_max / 1_000:g}",
    }
    given = {name: value for name, value in values.items() if value is not None}
    told = (
        f"{name} {value}" + ("" if KEEPERS[name] in held else " (does not hold on this machine)")
        for name, value in given.items()
    )
    return ", ".join(told) or None


def in_words(numbers: Mapping[str, float]) -> str | None:
    """Limits of an adapter, as the daemon tells them; None where it has none."""
    told = (f"{name} {_worded(name, numbers[key])}" for name, key in KEEPERS.items() if key in numbers)
    return ", ".join(told) or None


def _worded(name: str, value: float) -> str | None:
    match name:
        case "wall" | "idle":
            return _time(round(value))
        case "memory" | "output":
            return _size(round(value))
        case _:
            return f"{value:g}"


def _time(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _size(count: int | None) -> str | None:
    if count is None:
        return None
    for unit, length in (("T", 1024**4), ("G", 1024**3), ("M", 1024**2), ("K", 1024)):
        if count % length == 0:
            return f"{count // length}{unit}"
    return f"{count} bytes"
