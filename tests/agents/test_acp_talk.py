"""Real agents of the Agent Client Protocol through the whole daemon: people answer them, talk on, and lose the daemon."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.fleet import Fleet, Session, fleet
from tests.support.model_server import scripted
from tests.support.people import approvals, asked, intended, said, turns_ended
from tests.support.programs import BY_ACP, need
from tests.support.told import Told, told_by

COMMIT: Final = "git -c user.name=Agent -c user.email=agent@example.org commit --quiet --message Hello"
TELL_NO_TOKENS: Final = frozenset({"codex-acp"})
each_agent = pytest.mark.parametrize("agent", BY_ACP)


def a_commit(path: str) -> str:
    """A turn of one call, which leaves a commit."""
    call = {"bash": f"echo hi > {path} && git add {path} && {COMMIT}"}
    return scripted(call, {"text": "Done."}, words=f"{path}.")


def decide(own: Fleet, approval_id: str, *, verb: str) -> None:
    """What a person does at the command line."""
    own.place.ok("approval", verb, approval_id)


async def is_answered_once(own: Fleet, session: Session) -> bool:
    """Whether each of its questions got one answer, by the log and by the keeper."""
    every = await approvals(own, session)
    sent = [each for each in intended(own, session) if each.startswith("answer/")]
    is_given = [each.answered for each in every] == ["given"] * len(every)
    return is_given and sorted(sent) == sorted(f"answer/{each.id}" for each in every)


@each_agent
@pytest.mark.timeout(600)
async def test_what_a_person_allows_is_done_and_what_not_is_not(agent: str) -> None:
    need(agent)
    async with fleet() as own:
        yes = await own.spawn("yes", program=agent, prompt=a_commit("yes.txt"))
        no = await own.spawn("no", program=agent, prompt=a_commit("no.txt"))
        decide(own, await asked(own, yes), verb="grant")
        decide(own, await asked(own, no), verb="deny")
        allowed, denied = await own.ended(yes), await own.ended(no)
        commits = [
            own.repository.git("log", "--format=%s", "main..HEAD", at=each.worktree) for each in (yes, no)
        ]
        told = [told_by(own.heard(each.run_id)) for each in (yes, no)]
        assert await is_answered_once(own, yes)
        assert await is_answered_once(own, no)

    assert (allowed.exited.outcome, allowed.exited.rule) == ("succeeded", "turn_done")
    assert (denied.exited.outcome, denied.exited.failure) == ("failed", "permission_denied")
    assert (allowed.left, denied.left) == ((), ())
    assert commits == ["Hello", ""]
    assert told[0] == Told(turns=("done",), calls=("done",), tells_tokens=agent not in TELL_NO_TOKENS)
    assert told[1].calls == ("refused",)


@each_agent
@pytest.mark.timeout(600)
async def test_a_conversation_goes_on_over_a_daemon_that_died_while_a_person_thought(agent: str) -> None:
    need(agent)
    async with fleet() as own:
        words = ("--turns", "many", *BY_ACP[agent].words)
        session = await own.spawn("many", program="acp", prompt=a_commit("1.txt"), words=words)
        decide(own, await asked(own, session), verb="grant")
        await turns_ended(own, session, 1)

        await said(own, session, a_commit("2.txt"))
        open_question = await asked(own, session)
        own.place.kill_daemon()
        assert own.place.call("mpd", "start").status == 0
        decide(own, open_question, verb="grant")
        await turns_ended(own, session, 2)

        await said(own, session, a_commit("3.txt"))
        decide(own, await asked(own, session), verb="grant")
        await turns_ended(own, session, 3)
        assert await is_answered_once(own, session)
        await own.close(session)
        ended = await own.ended(session)
        told = told_by(own.heard(session.run_id))
        written = {path.name for path in session.worktree.iterdir()}

    assert (ended.exited.how, ended.left) == ("stopped", ())
    assert (told.turns, told.calls) == (("done",) * 3, ("done",) * 3)
    assert {"1.txt", "2.txt", "3.txt"} <= written
