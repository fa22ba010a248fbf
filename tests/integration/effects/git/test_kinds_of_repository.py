"""Shallow clones, linked worktrees, unrelated histories."""

from pathlib import Path

from moduprompt.effects.git.port import WorktreeSpec
from moduprompt.effects.git.program import GitProgram
from tests.support.git_repository import (
    Repository,
    granted,
    made,
    refused,
    to_commit,
)


async def test_a_shallow_detached_clone_with_packed_refs_works_like_any(
    git: GitProgram, repository: Repository, tmp_path: Path
) -> None:
    repository.commit("second.txt", "2")
    repository.git("pack-refs", "--all")
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.path}", str(shallow))
    repository.git("checkout", "--quiet", "--detach", at=shallow)
    facts = granted(await git.inspect(str(shallow)))
    assert (facts.is_shallow, facts.branch, facts.default_branch) == (True, None, "main")
    spec = WorktreeSpec(repository=str(shallow), path=str(tmp_path / "tree"), branch="topic", base="main")
    since = granted(await git.create(spec)).head
    repository.write("a.txt", "a", at=tmp_path / "tree")
    assert granted(await git.commit(to_commit(tmp_path / "tree", since=since))).commits_total == 1
    copy = granted(await git.clone(str(shallow), str(tmp_path / "copy")))
    assert copy.head == since


async def test_a_worktree_can_stand_for_its_repository(git: GitProgram, repository: Repository) -> None:
    path = await made(git, repository)
    here, there = granted(await git.inspect(str(repository.path))), granted(await git.inspect(str(path)))
    assert here.git_dir == there.git_dir
    assert there.path == str(path)


async def test_a_branch_checked_out_in_two_worktrees_is_not_merged_into(
    git: GitProgram, repository: Repository, tmp_path: Path
) -> None:
    path = await made(git, repository)
    repository.commit("a.txt", "a", at=path)
    repository.git("worktree", "add", "--quiet", "--force", str(tmp_path / "second"), "main")
    before = repository.snapshot()
    assert refused(await git.merge(repository.to_merge())).reason == "branch_checked_out"
    assert repository.snapshot() == before


async def test_unrelated_histories_are_refused_in_gits_own_words(
    git: GitProgram, repository: Repository
) -> None:
    repository.git("checkout", "--quiet", "--orphan", "mp/one")
    repository.git("commit", "--quiet", "--message", "Another beginning")
    repository.git("checkout", "--quiet", "main")
    refusal = refused(await git.merge(repository.to_merge()))
    assert refusal.reason == "git_failed"
    assert "unrelated histories" in refusal.message


async def test_a_since_that_is_not_there_is_refused(git: GitProgram, repository: Repository) -> None:
    path = await made(git, repository)
    assert refused(await git.commit(to_commit(path, since="f" * 40))).reason == "ref_missing"
