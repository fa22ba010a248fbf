"""Several wishes for one repository at the same time, in one daemon and in two."""

import asyncio

import pytest

from moduprompt.effects.git.port import GitRefusal, MergeFacts, WorktreeFacts, WorktreeSpec
from moduprompt.effects.git.program import GitProgram
from tests.support.git_repository import (
    Repository,
    granted,
    made,
    program,
)


async def test_worktrees_made_at_once_all_come_to_be(repository: Repository) -> None:
    ours, others = program(repository), program(repository)
    answers = await asyncio.gather(
        *((ours, others)[number % 2].create(repository.to_create(f"t{number}")) for number in range(12))
    )
    assert len({granted(answer).path for answer in answers}) == 12


async def test_one_worktree_asked_for_many_times_at_once_is_one(
    git: GitProgram, repository: Repository
) -> None:
    answers = await asyncio.gather(*(git.create(repository.to_create()) for _ in range(6)))
    assert len(set(map(granted, answers))) == 1


async def test_of_two_wishes_for_one_branch_one_is_granted(git: GitProgram, repository: Repository) -> None:
    first, second = repository.to_create("one"), repository.to_create("two")
    second = WorktreeSpec(repository=second.repository, path=second.path, branch=first.branch, base="main")
    answers = await asyncio.gather(git.create(first), git.create(second))
    assert sum(isinstance(answer, WorktreeFacts) for answer in answers) == 1
    reasons = [answer.reason for answer in answers if isinstance(answer, GitRefusal)]
    assert reasons == ["branch_exists"]


@pytest.mark.parametrize("checked_out", [True, False])
async def test_merges_at_once_into_one_branch_all_arrive(
    repository: Repository, *, checked_out: bool
) -> None:
    if not checked_out:
        repository.git("checkout", "--quiet", "--detach")
    ours, others = program(repository), program(repository)
    for number in range(5):
        path = await made(ours, repository, f"t{number}")
        repository.commit(f"{number}.txt", "x", at=path)
    answers = await asyncio.gather(
        *((ours, others)[number % 2].merge(repository.to_merge(f"mp/t{number}")) for number in range(5))
    )
    assert all(isinstance(answer, MergeFacts) for answer in answers), answers
    files = repository.git("ls-tree", "--name-only", "main").splitlines()
    assert [f"{number}.txt" in files for number in range(5)] == [True] * 5
    assert repository.git("rev-list", "--count", "--merges", "main") == "5"
    assert not (repository.path / ".git" / "moduprompt" / "merge-0").exists()
