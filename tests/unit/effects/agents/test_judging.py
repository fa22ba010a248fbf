"""Rules for verdicts: what was said, how it ended and what was left, together."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import Said, ToolEnded, TroubleSeen, TurnBegan, TurnEnded
from moduprompt.effects.agents.judging import by_exit_code, by_turn_and_work
from moduprompt.effects.agents.port import End, Verdict, Work
from moduprompt.effects.agents.summary import Summary, summed

COMMITTED = Work(has_changes=False, has_commits=True)
UNTOUCHED = Work(has_changes=False, has_commits=False)
BEGAN = TurnBegan()
DONE = TurnEnded(how="done")
REFUSED = ToolEnded(call_id="1", how="refused")
UNAUTHORISED = TroubleSeen(failure=FailureClass.AUTH_REQUIRED, message="401")


def judged(*said: Said, code: int = 0, work: Work | None = COMMITTED) -> Verdict:
    summary = Summary()
    for each in said:
        summary = summed(summary, each)
    return by_turn_and_work(End(said=summary, how="exited", code=code, work=work))


def test_a_turn_that_was_done_is_a_success() -> None:
    assert judged(BEGAN, DONE).outcome == "succeeded"
    assert judged(BEGAN, DONE, work=None).outcome == "succeeded"


def test_an_exit_code_of_zero_is_no_success_when_the_turn_never_ended() -> None:
    for said in ((), (BEGAN,), (BEGAN, DONE, BEGAN)):
        verdict = judged(*said)

        assert (verdict.outcome, verdict.failure) == ("failed", FailureClass.INVALID_OUTPUT)


def test_an_exit_code_that_stands_for_a_signal_is_one() -> None:
    terminated = judged(BEGAN, code=143)

    assert (terminated.failure, terminated.rule) == (FailureClass.SIGNALLED, "turn_not_ended")
    assert judged(BEGAN, UNAUTHORISED, code=143).failure == FailureClass.AUTH_REQUIRED
    assert judged(BEGAN, TurnEnded(how="failed"), code=143).failure == FailureClass.INTERNAL
    assert (
        judged(BEGAN, code=145).failure == FailureClass.INVALID_OUTPUT
    )  # gemini's word for 401, and no signal


def test_a_turn_that_somebody_interrupted_was_cancelled() -> None:
    assert judged(BEGAN, TurnEnded(how="interrupted")).failure == FailureClass.CANCELLED
    assert judged(BEGAN, UNAUTHORISED, TurnEnded(how="interrupted")).failure == FailureClass.CANCELLED


def test_a_failure_is_of_the_class_of_the_trouble_before_it() -> None:
    cut_short = judged(BEGAN, UNAUTHORISED)
    failed = judged(BEGAN, UNAUTHORISED, TurnEnded(how="failed"))
    named = judged(BEGAN, UNAUTHORISED, TurnEnded(how="failed", failure=FailureClass.NETWORK))

    assert [each.failure for each in (cut_short, failed, named)] == [
        FailureClass.AUTH_REQUIRED,
        FailureClass.AUTH_REQUIRED,
        FailureClass.NETWORK,
    ]


def test_trouble_that_a_program_got_over_is_forgotten() -> None:
    assert judged(BEGAN, UNAUTHORISED, DONE).outcome == "succeeded"


def test_a_turn_in_which_nothing_was_allowed_and_nothing_done_failed_for_want_of_permission() -> None:
    verdict = judged(BEGAN, REFUSED, DONE, work=UNTOUCHED)

    assert (verdict.outcome, verdict.failure) == ("failed", FailureClass.PERMISSION_DENIED)
    assert judged(BEGAN, REFUSED, DONE, work=COMMITTED).outcome == "succeeded"


def test_a_turn_that_was_done_with_a_bad_exit_code_is_for_a_person_to_look_at() -> None:
    assert judged(BEGAN, DONE, code=1).outcome == "unclear"


@pytest.mark.parametrize("how", ["stopped", "timed_out", "signalled"])
def test_what_ended_from_outside_failed_whatever_it_said(how: str) -> None:
    said = summed(summed(Summary(), BEGAN), DONE)
    end = End(said=said, how=how, signal=9, work=COMMITTED)  # pyright: ignore[reportArgumentType] - a parameter

    assert by_turn_and_work(end).outcome == by_exit_code(end).outcome == "failed"


def test_a_program_that_says_nothing_is_judged_by_its_exit_code() -> None:
    verdicts = [by_exit_code(End(said=Summary(), how="exited", code=code)) for code in (0, 3)]

    assert [(each.outcome, each.failure) for each in verdicts] == [
        ("succeeded", None),
        ("failed", FailureClass.EXIT_NONZERO),
    ]
