"""Turns of real agents, through the whole daemon: ended by order, steered while they run, and begun late."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from moduprompt.domain.approval.view import ApprovalItem
from moduprompt.domain.registry import read_event
from moduprompt.domain.run.events import RunPromptAwaited, RunStarted, RunTurnBegan, RunTurnEnded
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import InterruptSession
from moduprompt.domain.session.events import (
    InterruptRequested,
    SessionInterrupted,
    TurnObserved,
)
from moduprompt.protocol import decode_event
from tests.support.deadline import eventually_async
from tests.support.fleet import RUN_S_MAX, Fleet, Session, fleet
from tests.support.model_server import scripted
from tests.support.people import asked, intended, said, turns_ended
from tests.support.programs import BY_ACP, need

ASKING = ("--permissions", "ask", "--asks", "people", "--turns", "many")
STAYING = ("--permissions", "all", "--turns", "many")


def a_write(path: str) -> str:
    return scripted({"write": {"path": path, "content": "hi\n"}}, {"text": "Done."}, words=f"{path}.")


async def interrupted(own: Fleet, session: Session) -> SessionInterrupted:
    """By order; what came of it."""
    order = InterruptSession(workspace_id=own.workspace_id, session_id=session.id)
    requested = read_event(decode_event((await own.client.submit(order)).events[0]))
    assert isinstance(requested, InterruptRequested)
    ended = await own.first(SessionInterrupted, of=session.id)
    assert ended.interrupt_id == requested.interrupt_id
    return ended


async def is_there(path: Path) -> None:
    async def exists() -> bool:
        return await asyncio.to_thread(path.exists)

    await eventually_async(exists, within_s=RUN_S_MAX)


@pytest.mark.timeout(600)
async def test_an_interrupt_takes_its_question_back_and_the_conversation_goes_on() -> None:
    need("claude")
    async with fleet() as own:
        session = await own.spawn("stray", program="claude", prompt=a_write("no.txt"), words=ASKING)
        approval_id = await asked(own, session)
        assert (await interrupted(own, session)).rule == "said_turn_end"
        approval = await own.client.get(ApprovalItem, approval_id, workspace_id=own.workspace_id)
        assert approval.status == "withdrawn"
        await said(own, session, scripted({"text": "Here."}, words="Go on."))
        await turns_ended(own, session, 2)
        assert not (session.worktree / "no.txt").exists()
        sent = [each for each in intended(own, session) if each.startswith("interrupt/")]
        assert len(sent) == 1
        await own.close(session)
        await own.ended(session)


@pytest.mark.parametrize("agent", BY_ACP)
@pytest.mark.timeout(600)
async def test_an_agent_of_the_protocol_is_cancelled_with_its_question_and_goes_on(agent: str) -> None:
    need(agent)
    async with fleet() as own:
        question = scripted({"bash": "touch no.txt"}, {"text": "Done."})
        words = ("--turns", "many", *BY_ACP[agent].words)
        session = await own.spawn("stray", program="acp", prompt=question, words=words)
        approval_id = await asked(own, session)
        await interrupted(own, session)
        approval = await own.client.get(ApprovalItem, approval_id, workspace_id=own.workspace_id)
        assert approval.status == "withdrawn"
        await said(own, session, scripted({"text": "Here."}, words="Go on."))
        await turns_ended(own, session, 2)
        assert not (session.worktree / "no.txt").exists()
        await own.close(session)
        await own.ended(session)


@pytest.mark.timeout(600)
async def test_an_interrupt_ends_a_tool_that_would_never_end() -> None:
    need("claude")
    async with fleet() as own:
        endless = scripted({"bash": "touch begun; sleep 1000"}, {"text": "Never."})
        session = await own.spawn("endless", program="claude", prompt=endless, words=STAYING)
        await is_there(session.worktree / "begun")
        await interrupted(own, session)
        await said(own, session, a_write("after.txt"))
        await turns_ended(own, session, 2)
        assert (session.worktree / "after.txt").is_file()
        await own.close(session)
        await own.ended(session)


@pytest.mark.timeout(600)
async def test_a_prompt_from_a_file_is_interrupted_with_its_run() -> None:
    need("claude")
    async with fleet() as own:
        endless = scripted({"bash": "touch begun; sleep 1000"}, {"text": "Never."})
        session = await own.spawn("once", program="claude", prompt=endless, words=("--permissions", "all"))
        await is_there(session.worktree / "begun")
        await interrupted(own, session)
        await own.ended(session)


@pytest.mark.timeout(600)
async def test_a_prompt_steers_the_turn_that_runs() -> None:
    need("claude")
    async with fleet() as own:
        waits = "touch begun; until [ -e go ]; do sleep 0.2; done"
        work = scripted({"bash": waits}, {"bash": "true"}, {"text": "Done."})
        session = await own.spawn("steered", program="claude", prompt=work, words=STAYING)
        await is_there(session.worktree / "begun")
        later = await said(own, session, a_write("later.txt"))
        now = await said(own, session, "Mind the gap.", steer=True)

        async def is_submitted() -> bool:
            return now in intended(own, session)

        await eventually_async(is_submitted, within_s=RUN_S_MAX)
        (session.worktree / "go").touch()
        taken = await own.first(TurnObserved, of=session.id)
        assert (taken.prompt_id, taken.steered_into) == (now, 1)
        await turns_ended(own, session, 2)
        assert intended(own, session).index(now) < intended(own, session).index(later)
        await own.close(session)
        await own.ended(session)


@pytest.mark.timeout(600)
async def test_a_conversation_that_begins_without_a_prompt_waits_for_one_and_ends_when_it_is_closed() -> None:
    need("claude")
    async with fleet() as own:
        session = await own.spawn("late", program="claude", prompt=None, words=STAYING)
        await own.first(RunPromptAwaited, of=session.run_id)

        async def is_waiting() -> bool:
            run = await own.client.get(RunItem, session.run_id, workspace_id=own.workspace_id)
            return (run.observed, run.rule) == ("waiting_input", "said_ready")

        await eventually_async(is_waiting, within_s=RUN_S_MAX)
        for number in (1, 2):
            await said(own, session, a_write(f"{number}.txt"))
        await turns_ended(own, session, 2)
        assert (session.worktree / "2.txt").is_file()
        heard = own.heard(session.run_id)
        assert sum(isinstance(each, RunTurnBegan) for each in heard) == 2
        assert [each.how for each in heard if isinstance(each, RunTurnEnded)] == ["done", "done"]
        assert [each.can for each in heard if isinstance(each, RunStarted)] == [("interrupt", "steer")]
        await own.close(session)
        assert (await own.ended(session)).exited.how == "stopped"
