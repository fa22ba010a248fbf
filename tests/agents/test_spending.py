"""Real programs under the whole daemon: budgets stop them, limits park them, loops are ended."""

from __future__ import annotations

import asyncio

import pytest

from moduprompt.client import CommandRefused
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.events import (
    RunExited,
    RunNoProgressObserved,
)
from moduprompt.domain.run.progress import SAME_CALL_MAX, SAME_TREE_MAX
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import PromptSession, SetBudget
from moduprompt.domain.session.events import SessionBudgetExceeded, SessionParked, SessionUnparked
from moduprompt.domain.task.events import TaskFailed
from moduprompt.domain.task.view import TaskItem
from tests.support.deadline import eventually_async
from tests.support.fleet import RUN_S_MAX, Fleet, Session, fleet
from tests.support.model_server import scripted
from tests.support.programs import need

TURN = 700  # tokens of one turn
BUDGET = 500


async def last_run(own: Fleet, session: Session) -> RunItem:
    """The newest run of a session."""
    runs = await own.client.list(RunItem, workspace_id=own.workspace_id)
    return [run for run in runs if run.session_id == session.id][-1]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("daemon", ["lives", "is killed and started again meanwhile"])
async def test_a_limit_parks_a_run_and_it_goes_on_by_itself(daemon: str) -> None:
    need("claude")
    # It asks twice and gives up; what it asks after it was parked is answered.
    limit = {"status": 429, "retry_after_s": 2, "times": 2, "text": "fine"}
    prompt = scripted({"bash": "touch begun"}, limit, words="It is parked.")
    async with fleet() as own:
        session = await own.spawn("limited", program="claude", prompt=prompt)
        parked = await own.first(SessionParked, of=session.id)
        assert parked.run_id == session.run_id
        assert parked.failure is FailureClass.RATE_LIMITED
        if daemon != "lives":
            await asyncio.to_thread(own.place.kill_daemon)
            await asyncio.to_thread(own.place.start_daemon)
        unparked = await own.first(SessionUnparked, of=session.id)
        assert unparked.why == "due"

        async def is_fine() -> bool:
            run = await last_run(own, session)
            return run.ordinal > 1 and run.status == "exited"

        await eventually_async(is_fine, within_s=RUN_S_MAX)
        run = await last_run(own, session)
        task = await own.client.get(TaskItem, session.task_id, workspace_id=own.workspace_id)

    assert (run.ordinal, run.outcome) == (2, "succeeded"), run
    assert run.resumes == session.run_id
    assert (task.status, task.attempt, task.failure) == ("running", 1, None)


@pytest.mark.timeout(600)
async def test_the_turn_that_passes_a_budget_is_the_last_one() -> None:
    need("claude")
    used = {"input_tokens": TURN - 100, "cached_tokens": 0, "output_tokens": 100}
    async with fleet() as own:
        # It thinks for long enough that the budget is there before the turn ends.
        prompt = scripted({"text": "One.", "sleep_s": 8, "usage": used}, words="The only turn.")
        session = await own.spawn("spender", program="claude", prompt=prompt)
        await own.client.submit(
            SetBudget(workspace_id=own.workspace_id, session_id=session.id, tokens=BUDGET)
        )
        exceeded = await own.first(SessionBudgetExceeded, of=session.id)
        exited = await own.first(RunExited, of=session.run_id)
        failed = await own.first(TaskFailed, of=session.task_id)
        ended = await own.ended(session)
        more = PromptSession(workspace_id=own.workspace_id, session_id=session.id, prompt="More.")
        with pytest.raises(CommandRefused) as refused:
            await own.client.submit(more)
        run = await last_run(own, session)

    assert (exceeded.bound, exceeded.limit) == ("tokens", BUDGET)
    assert exceeded.spent >= TURN
    assert exited.failure is FailureClass.BUDGET_EXCEEDED
    assert failed.failure is FailureClass.BUDGET_EXCEEDED
    assert (run.ordinal, run.turns) == (1, 1)
    assert "set-budget" in str(refused.value.rejection.hint)
    assert ended.left == ()


@pytest.mark.timeout(600)
async def test_an_endless_loop_of_failing_calls_is_stopped() -> None:
    need("claude")
    loop = [{"bash": "exit 3"}] * (3 * SAME_CALL_MAX)
    async with fleet() as own:
        prompt = scripted(*loop, {"text": "never said"}, words="Round and round.")
        session = await own.spawn("loop", program="claude", prompt=prompt)
        seen = await own.first(RunNoProgressObserved, of=session.run_id)
        exited = await own.first(RunExited, of=session.run_id)
        failed = await own.first(TaskFailed, of=session.task_id)
        ended = await own.ended(session)

    assert (seen.rule, seen.times) == ("same_call", SAME_CALL_MAX)
    assert exited.failure is FailureClass.NO_PROGRESS
    assert failed.failure is FailureClass.NO_PROGRESS
    assert ended.left == ()


@pytest.mark.timeout(600)
async def test_a_program_that_writes_and_takes_back_the_same_is_stopped() -> None:
    need("claude")
    there_and_back = [
        {"write": {"path": "answer.txt", "content": "forty-two\n"}},
        {"write": {"path": "answer.txt", "content": "forty-one\n"}},
    ]
    async with fleet() as own:
        prompt = scripted(
            *there_and_back * (2 * SAME_TREE_MAX), {"text": "never said"}, words="Make up your mind."
        )
        session = await own.spawn("doubter", program="claude", prompt=prompt)
        seen = await own.first(RunNoProgressObserved, of=session.run_id)
        exited = await own.first(RunExited, of=session.run_id)
        failed = await own.first(TaskFailed, of=session.task_id)
        ended = await own.ended(session)

    assert seen.rule == "same_tree"
    assert seen.times >= SAME_TREE_MAX  # what came between two looks is counted with the next
    assert seen.tree is not None
    assert exited.failure is FailureClass.NO_PROGRESS
    assert failed.failure is FailureClass.NO_PROGRESS
    assert ended.left == ()
