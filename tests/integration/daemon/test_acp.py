"""An agent of the Agent Client Protocol through the whole daemon: its questions, and each of the four answers to them."""

from __future__ import annotations

import sys
from typing import Final

import pytest

from moduprompt.domain.run.said import OptionKind
from tests.support.fleet import fleet
from tests.support.people import approvals, asked, intended
from tests.support.source_tree import ROOT

FAKE: Final = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.support.acp_agent")
OFFERED: Final = "yes (allow_once), ever (allow_always), no (reject_once), never (reject_always)"
DONE: Final = ("succeeded", None, "turn_done")
REFUSED: Final = ("failed", "permission_denied", "refused_and_nothing_done")


@pytest.mark.timeout(600)
async def test_the_four_answers_are_shown_and_each_does_what_it_says() -> None:
    kinds: tuple[OptionKind, ...] = ("allow_once", "allow_always", "reject_once", "reject_always")
    async with fleet() as own:
        sessions = [await own.spawn(kind, program="acp", prompt="write", words=FAKE) for kind in kinds]
        for kind, session in zip(kinds, sessions, strict=True):
            approval_id = await asked(own, session)
            assert OFFERED in own.place.ok("approval", "show", approval_id).out
            verb = "grant" if kind.startswith("allow") else "deny"
            own.place.ok("approval", verb, approval_id, "--option", kind)
        ends = [await own.ended(session) for session in sessions]
        answers = [(session.worktree / ".fake" / "answer").read_text() for session in sessions]
        sent = [intended(own, session) for session in sessions]
        every = [await approvals(own, session) for session in sessions]

    assert answers == ["yes", "ever", "no", "never"]
    assert [(each.exited.outcome, each.exited.failure, each.exited.rule) for each in ends] == [
        DONE,
        DONE,
        REFUSED,
        REFUSED,
    ]
    assert [each.left for each in ends] == [()] * len(kinds)
    assert [[(one.option, one.answered) for one in each] for each in every] == [
        [(answer, "given")] for answer in answers
    ]
    assert [[each for each in one if each.startswith("answer/")] for one in sent] == [
        [f"answer/{one.id}"] for (one,) in every
    ]
