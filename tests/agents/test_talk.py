"""Claude, talked to through the whole daemon: prompts, people's answers, and a daemon that dies in between."""

from __future__ import annotations

import pytest

from moduprompt.domain.approval.commands import DenyApproval, GrantApproval
from tests.support.fleet import fleet
from tests.support.model_server import scripted
from tests.support.people import asked, intended, said, turns_ended
from tests.support.programs import need

ASKING = ("--permissions", "ask", "--asks", "people")


def a_write(path: str) -> str:
    return scripted({"write": {"path": path, "content": "hi\n"}}, {"text": "Done."}, words=f"{path}.")


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
