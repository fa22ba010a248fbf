"""What every adapter of the `Worktrees` port does when an agent has left its branch: its work is not called merged and lost."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.effects.git.port import CommitSpec, Home, MergeSpec, Worktrees
from tests.support.git_repository import (
    ADAPTERS,
    Repository,
    granted,
    make_repository,
    refused,
    text_of,
    to_commit,
)

BRANCH = "mp/one"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repository", home=tmp_path / "home")


@pytest.fixture(params=sorted(ADAPTERS))
def worktrees(request: pytest.FixtureRequest, repository: Repository) -> Worktrees:
    return ADAPTERS[request.param](repository.home)


async def _made(worktrees: Worktrees, repository: Repository) -> Path:
    return Path(granted(await worktrees.create(repository.to_create())).path)


def _to_commit(tree: Path, repository: Repository) -> CommitSpec:
    return replace(to_commit(tree, since=repository.head("main")), branch=BRANCH)


def _to_merge(tree: Path, repository: Repository) -> MergeSpec:
    return replace(repository.to_merge(BRANCH), home=Home(path=str(tree), branch=BRANCH))


@pytest.mark.parametrize("words", [("switch", "--create", "feature"), ("switch", "--detach")])
async def test_what_an_agent_committed_beside_its_branch_is_on_it_once_the_worktree_is_committed(
    worktrees: Worktrees, repository: Repository, words: tuple[str, ...]
):
    tree = await _made(worktrees, repository)
    repository.git(*words, at=tree)
    repository.commit("a.txt", "a", at=tree)
    repository.write("b.txt", "b", at=tree)
    facts = granted(await worktrees.commit(_to_commit(tree, repository)))
    assert (facts.commits_total, facts.head) == (2, repository.head(BRANCH))
    assert granted(await worktrees.commit(_to_commit(tree, repository))) == facts
    granted(await worktrees.merge(_to_merge(tree, repository)))
    assert (text_of(repository.path, "a.txt"), text_of(repository.path, "b.txt")) == ("a", "b")


async def test_a_merge_is_refused_while_work_lies_beside_the_branch(
    worktrees: Worktrees, repository: Repository
):
    tree = await _made(worktrees, repository)
    repository.git("switch", "--create", "feature", at=tree)
    repository.commit("a.txt", "a", at=tree)
    before = repository.snapshot()
    refusal = refused(await worktrees.merge(_to_merge(tree, repository)))
    assert refusal.reason == "worktree_conflict"
    assert "feature" in refusal.message
    assert repository.snapshot() == before


async def test_work_that_does_not_go_on_from_the_branch_is_refused_as_it_lies(
    worktrees: Worktrees, repository: Repository
):
    tree = await _made(worktrees, repository)
    repository.commit("a.txt", "a", at=tree)
    repository.git("switch", "--create", "feature", "main", at=tree)
    repository.commit("b.txt", "b", at=tree)
    repository.write("c.txt", "c", at=tree)
    before = repository.snapshot()
    refusal = refused(await worktrees.commit(_to_commit(tree, repository)))
    assert refusal.reason == "worktree_conflict"
    assert repository.snapshot() == before
    assert repository.git("status", "--porcelain", at=tree) == "?? c.txt"


async def test_whoever_only_looks_at_an_earlier_commit_is_in_nobodys_way(
    worktrees: Worktrees, repository: Repository
):
    tree = await _made(worktrees, repository)
    head = repository.commit("a.txt", "a", at=tree)
    repository.git("switch", "--quiet", "--detach", "main", at=tree)
    granted(await worktrees.commit(_to_commit(tree, repository)))
    assert repository.head(BRANCH) == head
    granted(await worktrees.merge(_to_merge(tree, repository)))
    repository.write("b.txt", "b", at=tree)
    assert refused(await worktrees.commit(_to_commit(tree, repository))).reason == "worktree_conflict"


async def test_a_branch_without_a_commit_is_refused_in_words(worktrees: Worktrees, repository: Repository):
    tree = await _made(worktrees, repository)
    repository.git("checkout", "--quiet", "--orphan", "fresh", at=tree)
    repository.git("rm", "-rf", "--quiet", ".", at=tree)
    for spec in (_to_commit(tree, repository), replace(_to_commit(tree, repository), branch=None)):
        assert refused(await worktrees.commit(spec)).reason == "worktree_conflict"
    granted(await worktrees.merge(_to_merge(tree, repository)))


async def test_a_branch_that_is_gone_is_named(worktrees: Worktrees, repository: Repository):
    tree = await _made(worktrees, repository)
    repository.git("branch", "--move", "renamed", at=tree)
    repository.commit("a.txt", "a", at=tree)
    refusal = refused(await worktrees.commit(_to_commit(tree, repository)))
    assert (refusal.reason, refusal.hint) == ("ref_missing", f"git -C {tree} branch {BRANCH}")
    repository.git("branch", BRANCH, at=tree)
    granted(await worktrees.commit(_to_commit(tree, repository)))


async def test_a_merge_asks_nothing_of_a_worktree_that_is_none_any_more(
    worktrees: Worktrees, repository: Repository
):
    tree = await _made(worktrees, repository)
    repository.commit("a.txt", "a", at=tree)
    (tree / ".git").unlink()
    granted(await worktrees.merge(_to_merge(tree, repository)))
    assert text_of(repository.path, "a.txt") == "a"


async def test_a_merge_waits_where_git_cannot_say_what_stands_in_the_worktree(
    worktrees: Worktrees, repository: Repository
):
    tree = await _made(worktrees, repository)
    repository.commit("a.txt", "a", at=tree)
    repository.git("config", "extensions.worktreeConfig", "true")
    own = Path(repository.git("rev-parse", "--absolute-git-dir", at=tree)) / "config.worktree"
    own.write_text("no line of a configuration\n")
    before = repository.snapshot()
    assert refused(await worktrees.merge(_to_merge(tree, repository))).reason == "git_failed"
    assert repository.snapshot() == before
    own.unlink()
    granted(await worktrees.merge(_to_merge(tree, repository)))
