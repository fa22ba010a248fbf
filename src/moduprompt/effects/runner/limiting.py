"""What a run may take, from its adapter and from whoever spawned its session; and as facts hold it.

A person who spawns a root session may give it more than its adapter says, or less. Below that only less: an
agent that spawns is no way around what a person has set.
"""

from typing import Final

from msgspec.structs import replace

from moduprompt.domain.run.intents import KeepRun
from moduprompt.domain.session.limits import (
    COUNT_MAX,
    MILLICORES_MIN,
    SECONDS_MAX,
    RunLimits,
    RunLimitsSpec,
    least,
)
from moduprompt.effects.agents.limits import Limits

MILLI: Final = 1_000


def limits_for(intent: KeepRun, adapter: Limits) -> Limits:
    """The limits of this run, over those of its adapter."""
    wished = intent.limits
    if wished is None:
        return adapter
    if intent.is_child:
        wished = _no_more_than(adapter, wished)
    given: dict[str, int | float | None] = {
        "wall_s": wished.wall_s,
        "idle_s": wished.idle_s,
        "memory_bytes_max": wished.memory_bytes_max,
        "output_bytes_max": wished.output_bytes_max,
        "processes_max": wished.processes_max,
        "cpu_cores_max": None if wished.millicores_max is None else wished.millicores_max / MILLI,
    }
    return replace(adapter, **{name: value for name, value in given.items() if value is not None})


def to_order(limits: Limits) -> RunLimitsSpec:
    """As reports and events say them: whole numbers."""
    cores = limits.cpu_cores_max
    return RunLimitsSpec(
        wall_s=_whole(limits.wall_s, most=SECONDS_MAX),
        idle_s=_whole(limits.idle_s, most=SECONDS_MAX),
        memory_bytes_max=_whole(limits.memory_bytes_max, most=COUNT_MAX),
        output_bytes_max=_whole(limits.output_bytes_max, most=COUNT_MAX),
        processes_max=_whole(limits.processes_max, most=COUNT_MAX),
        millicores_max=None if cores is None else max(MILLICORES_MIN, round(cores * MILLI)),
    )


def _no_more_than(adapter: Limits, wished: RunLimits) -> RunLimits:
    bound = to_order(adapter)
    return RunLimits(
        wall_s=least(wished.wall_s, bound.wall_s),
        idle_s=least(wished.idle_s, bound.idle_s),
        memory_bytes_max=least(wished.memory_bytes_max, bound.memory_bytes_max),
        output_bytes_max=least(wished.output_bytes_max, bound.output_bytes_max),
        processes_max=least(wished.processes_max, bound.processes_max),
        millicores_max=least(wished.millicores_max, bound.millicores_max),
    )


def _whole(value: float | None, *, most: int) -> int | None:
    return None if value is None else min(max(1, round(value)), most)
