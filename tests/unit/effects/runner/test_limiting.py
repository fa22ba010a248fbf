"""What a run may take in the end: its adapter's word, a person's wish, and what an agent may wish for."""

from msgspec.structs import replace

from moduprompt.domain.session.limits import RunLimits, RunLimitsSpec
from moduprompt.effects.agents.limits import ANY_PROGRAM, Limits
from moduprompt.effects.runner.limiting import limits_for, to_order
from tests.unit.effects.runner.test_looking import KEEP

WISHED = RunLimits(wall_s=10, memory_bytes_max=64 * 2**30, millicores_max=1_500)
ADAPTER = Limits(wall_s=60.0, memory_bytes_max=2**30, open_files_max=100)


def test_without_a_wish_the_adapter_s_limits_hold() -> None:
    assert limits_for(KEEP, ADAPTER) == ADAPTER


def test_a_person_s_wish_for_a_root_session_goes_over_the_adapter_s() -> None:
    expected = Limits(wall_s=10, memory_bytes_max=64 * 2**30, cpu_cores_max=1.5, open_files_max=100)
    assert limits_for(replace(KEEP, limits=WISHED), ADAPTER) == expected


def test_below_that_a_wish_only_narrows() -> None:
    expected = Limits(wall_s=10, memory_bytes_max=2**30, cpu_cores_max=1.5, open_files_max=100)
    assert limits_for(replace(KEEP, limits=WISHED, is_child=True), ADAPTER) == expected


def test_what_is_reported_is_whole_numbers() -> None:
    assert to_order(Limits(wall_s=0.001, cpu_cores_max=0.0101)) == RunLimitsSpec(wall_s=1, millicores_max=10)
    fact = to_order(ANY_PROGRAM)
    assert (fact.wall_s, fact.memory_bytes_max, fact.processes_max) == (86_400, 8 * 2**30, 2_048)
