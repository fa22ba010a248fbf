"""What a keeper accepts as its orders."""

import json

import pytest

from moduprompt.keeper.spec import Spec
from moduprompt.keeper.wire import FrameError

GOOD: dict[str, object] = {
    "version": 1,
    "run_id": "r",
    "argv": ["program", "argument"],
    "cwd": "/tmp",
    "env": {"A": "1", "EMPTY": ""},
    "rows": 24,
    "cols": 80,
    "nonce": "n",
    "limits": {"wall_s": 1.5, "cpu_s": None},
    "stop_graces_s": {"interrupt": 0, "terminate": 1, "kill": 2.5},
}


def spec_of(**changes: object) -> Spec:
    return Spec(json.dumps({**GOOD, **changes}).encode())


def test_a_whole_spec_is_read_as_it_was_written() -> None:
    spec = spec_of()

    assert (spec.argv, spec.env) == (["program", "argument"], {"A": "1", "EMPTY": ""})
    assert (spec.limits.wall_s, spec.limits.cpu_s, spec.limits.output_bytes_max) == (1.5, None, None)
    assert spec.graces_s == (0.0, 1.0, 2.5)


@pytest.mark.parametrize("field", sorted(GOOD))
def test_every_field_is_required(field: str) -> None:
    with pytest.raises(FrameError, match=field):
        Spec(json.dumps({name: value for name, value in GOOD.items() if name != field}).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"argv": []},
        {"argv": [""]},
        {"argv": ["x\0y"]},
        {"argv": "program"},
        {"cwd": "relative"},
        {"cwd": ""},
        {"env": {"": "x"}},
        {"env": {"A=B": "x"}},
        {"env": {"A": 1}},
        {"env": {"A": "x\0"}},
        {"env": []},
        {"rows": 0},
        {"cols": 70_000},
        {"nonce": ""},
        {"limits": {"wall_s": 0}},
        {"limits": {"wall_s": -1}},
        {"limits": {"memory": 1}},
        {"limits": {"output_bytes_max": 1.5}},
        {"stop_graces_s": {"interrupt": 1, "terminate": 1}},
        {"stop_graces_s": {"interrupt": -1, "terminate": 1, "kill": 1}},
        {"colour": "red"},
    ],
    ids=repr,
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(FrameError):
        spec_of(**changes)


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(FrameError):
        Spec(json.dumps({**GOOD, "limits": {"wall_s": float("nan")}}).encode())
