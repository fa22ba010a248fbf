"""A worktree is looked at where a call that names files was made before, and worked again."""

from __future__ import annotations

from moduprompt.domain.run.progress import CIRCLE_CALLS_MAX, OPEN_CALLS_MAX
from moduprompt.domain.run.said import ToolCalled, ToolEnd, ToolEnded
from moduprompt.effects.agents.port import Heard
from moduprompt.effects.runner.rounds import Rounds


def call(number: int, arguments: str = "a", *, how: ToolEnd = "done", path: str | None = "f") -> list[Heard]:
    digest = (arguments * 64)[:64]
    called = ToolCalled(
        call_id=f"c{number}", tool="Edit", arguments_digest=digest, paths=(path,) if path else ()
    )
    return [called, ToolEnded(call_id=f"c{number}", how=how)]


def looks(*calls: list[Heard]) -> list[bool]:
    rounds = Rounds()
    return [rounds.is_worth_a_look(each) for each in calls]


def test_the_second_time_is_worth_a_look_and_each_one_after_it() -> None:
    assert looks(call(1), call(2), call(3, "b"), call(4)) == [False, True, False, True]


def test_what_names_no_file_or_did_not_work_is_not() -> None:
    assert not any(looks(*(call(number, path=None) for number in range(5))))
    assert not any(looks(*(call(number, how="failed") for number in range(5))))


def test_all_of_one_report_is_taken_in() -> None:
    assert looks([*call(1), *call(2)], call(3, "b"), call(4, "b")) == [True, False, True]


def test_little_is_remembered() -> None:
    many = [call(number, f"{number:04d}") for number in range(CIRCLE_CALLS_MAX + 1)]
    assert not any(looks(*many, call(99, "0000")))
    open_calls = [[call(number)[0]] for number in range(OPEN_CALLS_MAX + 1)]
    assert not any(looks(call(100), *open_calls, [ToolEnded(call_id="c0", how="done")]))


def test_the_end_of_a_call_that_nobody_saw_begin_is_none() -> None:
    assert looks([ToolEnded(call_id="unseen", how="done")]) == [False]
