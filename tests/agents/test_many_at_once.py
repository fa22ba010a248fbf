"""A crowd of real programs in one repository, each in its own worktree, each committing: none in another's way."""

import asyncio
from collections import Counter

import pytest

from tests.support.fleet import Ended, Fleet, Session, fleet
from tests.support.model_server import scripted
from tests.support.programs import need

CROWD = ("claude",) * 6 + ("codex",) * 12
COMMIT = "git -c user.name=Agent -c user.email=agent@example.org commit --quiet --message"


async def committed(own: Fleet, number: int, program: str) -> tuple[Session, Ended]:
    """One session that writes a file of its own and commits it."""
    name = f"{program} {number}"
    prompt = scripted(
        {"write": {"path": f"{number}.txt", "content": f"{name}\n"}},
        {"bash": f"git add {number}.txt && {COMMIT} '{name}'"},
        {"text": "Done."},
    )
    session = await own.spawn(name, program=program, prompt=prompt)
    return session, await own.ended(session)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_six_claudes_and_twelve_codexes_commit_in_one_repository() -> None:
    for program in set(CROWD):
        need(program)
    async with fleet(settings="") as own:
        ends = await asyncio.gather(*(committed(own, *each) for each in enumerate(CROWD)))

        assert Counter(ended.exited.outcome for _, ended in ends) == {"succeeded": len(CROWD)}
        assert [ended.left for _, ended in ends] == [()] * len(CROWD)
        git = own.repository.git
        for number, (session, _) in enumerate(ends):
            assert git("log", "--format=%s", "main..HEAD", at=session.worktree) == f"{CROWD[number]} {number}"
            assert git("show", "--format=", "--name-only", "HEAD", at=session.worktree) == f"{number}.txt"
            assert git("status", "--porcelain", at=session.worktree) == ""
        assert git("fsck", "--no-dangling") == ""
        assert git("log", "--format=%s", "main") == "First"
