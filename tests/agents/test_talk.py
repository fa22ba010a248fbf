"""Claude, talked to through the whole daemon: prompts, people's answers, and a daemon that dies in between."""

from __future__ import annotations

import pytest

from moduprompt.domain.approval.commands import DenyApproval, GrantApproval
from moduprompt.domain.approval.view import WAITING, ApprovalItem
from moduprompt.domain.registry import read_event
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import PromptSession
from moduprompt.domain.session.events import PromptAccepted
from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import read_journal
from moduprompt.protocol import ApprovalId, PromptId, SessionId, decode_event
from tests.support.deadline import eventually_async
from tests.support.fleet import RUN_S_MAX, Fleet, Session, fleet
from tests.support.model_server import scripted
from tests.support.programs import need

ASKING = ("--permissions", "ask", "--asks", "people")


def a_write(path: str) -> str:
    return scripted({"write": {"path": path, "content": "hi\n"}}, {"text": "Done."}, words=f"{path}.")


async def said(own: Fleet, session: Session, text: str) -> PromptId:
    """A prompt that its session has accepted."""
    run = await own.client.get(RunItem, session.run_id, workspace_id=own.workspace_id)
    command = PromptSession(workspace_id=own.workspace_id, session_id=SessionId(run.session_id), prompt=text)
    accepted = read_event(decode_event((await own.client.submit(command)).events[0]))
    assert isinstance(accepted, PromptAccepted)
    return accepted.prompt_id


def intended(own: Fleet, session: Session) -> list[str]:
    """Every input that its keeper was asked for."""
    run_dir = own.place.data / "runs" / session.run_id
    told = (entry.report for entry in read_journal(run_dir))
    return [each.input_id for each in told if isinstance(each, port.InputIntended)]


async def asked(own: Fleet, session: Session) -> ApprovalId:
    """The approval that its program waits for."""
    found: list[ApprovalItem] = []

    async def is_there() -> bool:
        every = await own.client.list(ApprovalItem, workspace_id=own.workspace_id)
        found.extend(each for each in every if each.run_id == session.run_id and each.status == WAITING)
        return bool(found)

    await eventually_async(is_there, within_s=RUN_S_MAX)
    return ApprovalId(found[0].id)


async def turns_ended(own: Fleet, session: Session, count: int) -> None:
    """So many turns are over."""

    async def are_over() -> bool:
        run = await own.client.get(RunItem, session.run_id, workspace_id=own.workspace_id)
        return run.turns == count and not run.is_in_turn

    await eventually_async(are_over, within_s=RUN_S_MAX)


@pytest.mark.timeout(600)
async def test_a_person_lets_it_write_and_forbids_it() -> None:
    need("claude")
    async with fleet() as own:
        yes = await own.spawn("yes", program="claude", prompt=a_write("yes.txt"), words=ASKING)
        no = await own.spawn("no", program="claude", prompt=a_write("no.txt"), words=ASKING)
        for session, order in ((yes, GrantApproval), (no, DenyApproval)):
            approval_id = await asked(own, session)
            await own.client.submit(order(workspace_id=own.workspace_id, approval_id=approval_id))
        for session in (yes, no):
            await own.ended(session)
        assert [(yes.worktree / "yes.txt").is_file(), (no.worktree / "no.txt").is_file()] == [True, False]


@pytest.mark.timeout(600)
async def test_one_process_takes_several_prompts_each_in_a_turn_of_its_own() -> None:
    need("claude")
    async with fleet() as own:
        session = await own.spawn(
            "many",
            program="claude",
            prompt=a_write("1.txt"),
            words=("--permissions", "all", "--turns", "many"),
        )
        for number in (2, 3):
            await said(own, session, a_write(f"{number}.txt"))
        await turns_ended(own, session, 3)
        await own.stop(session)
        await own.ended(session)
        written = {path.name for path in session.worktree.iterdir()}
        assert {"1.txt", "2.txt", "3.txt"} <= written


@pytest.mark.timeout(600)
async def test_an_answer_reaches_its_program_once_though_the_daemon_died_while_it_waited() -> None:
    need("claude")
    async with fleet() as own:
        session = await own.spawn("late", program="claude", prompt=a_write("late.txt"), words=ASKING)
        approval_id = await asked(own, session)
        own.place.kill_daemon()
        own.place.start_daemon()
        own.place.ok("approval", "grant", approval_id)
        await own.ended(session)
        answers = [each for each in intended(own, session) if each.startswith("answer/")]
        assert answers == [f"answer/{approval_id}"]
        assert (session.worktree / "late.txt").is_file()
