"""Whatever stands between a real program and its model: each run ends, in the right class, and leaves nothing behind."""

import pytest

from moduprompt.domain.failures import FailureClass
from tests.agents.cells import CELLS
from tests.support.model_server import RunningModel, scripted
from tests.support.programs import IN_CI, Place, drive, need

FAILED = {
    "unauthorised": FailureClass.AUTH_REQUIRED,
    "rate_limited": FailureClass.RATE_LIMITED,
    "server_fault": FailureClass.NETWORK,
    "cut": FailureClass.NETWORK,
}
GOT_OVER = ("one_fault", "malformed", "slow")
SHORT_S = 6.0  # a limit that a run without an answer certainly meets
each_program = pytest.mark.parametrize("name", IN_CI)


@each_program
@pytest.mark.parametrize("case", FAILED)
def test_a_fault_that_stays_ends_the_run_in_its_class(
    name: str, case: str, model: RunningModel, place: Place
) -> None:
    need(name)
    ended = drive(name, CELLS[case], model=model, place=place)

    assert ended.code is not None, "it never ended"
    assert (ended.verdict.outcome, ended.verdict.failure) == ("failed", FAILED[case]), ended.errors
    assert ended.left == []


@each_program
@pytest.mark.parametrize("case", GOT_OVER)
def test_a_fault_that_passes_does_not_fail_the_run(
    name: str, case: str, model: RunningModel, place: Place
) -> None:
    need(name)
    # The words differ, because how often a fault was played is counted by prompt.
    ended = drive(name, f"{name}: {CELLS[case]}", model=model, place=place)

    assert (ended.code, ended.verdict.outcome) == (0, "succeeded"), ended.errors
    assert ended.left == []


@each_program
def test_a_model_that_says_nothing_is_ended_by_the_limit(
    name: str, model: RunningModel, place: Place
) -> None:
    need(name)
    ended = drive(name, scripted({"text": "late", "sleep_s": 600}), model=model, place=place, limit_s=SHORT_S)

    assert (ended.verdict.outcome, ended.verdict.failure) == ("failed", FailureClass.TIMEOUT)


def test_codex_may_not_write_where_its_sandbox_lets_it_only_read(model: RunningModel, place: Place) -> None:
    need("codex")
    ended = drive(
        "codex",
        scripted({"write": {"path": "hello.txt", "content": "hi\n"}}, {"text": "Done."}),
        model=model,
        place=place,
        words=("--permissions", "ask", "--model", "scripted-model"),
    )

    assert place.text("hello.txt") is None
    assert ended.code == 0, ended.errors
    assert ended.verdict.outcome != "succeeded" or ended.verdict.evidence.endswith("nothing was changed")
