"""Branches that several worktrees stand on: brought together forwards, and otherwise left as they are."""

from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.git.port import SettleSpec, Worktrees
from tests.support.git_repository import ADAPTERS, Repository, granted, make_repository, refused, text_of


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repository", home=tmp_path / "home")


@pytest.fixture(params=sorted(ADAPTERS))
def worktrees(request: pytest.FixtureRequest, repository: Repository) -> Worktrees:
    return ADAPTERS[request.param](repository.home)


async def sharing(worktrees: Worktrees, repository: Repository) -> tuple[Path, Path, SettleSpec]:
    """A worktree on a branch, another one that shares it, and the wish to settle that one."""
    home = Path(granted(await worktrees.create(repository.to_create())).path)
    wish = repository.to_share()
    aside = Path(granted(await worktrees.create(wish)).path)
    return home, aside, SettleSpec(repository=str(repository.path), path=str(aside), branch=wish.branch)


async def test_work_beside_a_shared_branch_goes_onto_it_and_into_its_files(
    worktrees: Worktrees, repository: Repository
):
    home, aside, wish = await sharing(worktrees, repository)
    head = repository.commit("a.txt", "a", at=aside)
    assert granted(await worktrees.settle(wish)).head == head
    assert repository.head("mp/one") == head
    assert text_of(home, "a.txt") == "a"
    assert repository.git("status", "--porcelain", at=home) == ""
    assert granted(await worktrees.settle(wish)).head == head, "asked again, nothing is left to do"


async def test_a_worktree_beside_a_shared_branch_comes_along_with_its_uncommitted_work(
    worktrees: Worktrees, repository: Repository
):
    home, aside, wish = await sharing(worktrees, repository)
    head = repository.commit("a.txt", "a", at=home)
    repository.write("draft.txt", "mine", at=aside)
    assert granted(await worktrees.settle(wish)).head == head
    assert repository.head(at=aside) == head
    assert (text_of(aside, "a.txt"), text_of(aside, "draft.txt")) == ("a", "mine")


async def test_a_shared_branch_that_is_checked_out_nowhere_moves_all_the_same(
    worktrees: Worktrees, repository: Repository
):
    home, aside, wish = await sharing(worktrees, repository)
    granted(await worktrees.remove(repository.to_remove(home)))
    head = repository.commit("a.txt", "a", at=aside)
    granted(await worktrees.settle(wish))
    assert repository.head("mp/one") == head


async def test_what_has_gone_apart_on_a_shared_branch_is_named_and_nothing_moves(
    worktrees: Worktrees, repository: Repository
):
    home, aside, wish = await sharing(worktrees, repository)
    ours, theirs = repository.commit("a.txt", "a", at=home), repository.commit("b.txt", "b", at=aside)
    refusal = refused(await worktrees.settle(wish))
    assert refusal.reason == "branch_diverged"
    assert "merge mp/one" in refusal.hint
    assert (repository.head("mp/one"), repository.head(at=aside)) == (ours, theirs)
    repository.git("merge", "--quiet", "--no-edit", "mp/one", at=aside)
    assert granted(await worktrees.settle(wish)).head == repository.head("mp/one"), "as the hint says"
    assert text_of(home, "b.txt") == "b"


async def test_local_changes_in_the_way_of_a_shared_branch_are_kept_and_named(
    worktrees: Worktrees, repository: Repository
):
    home, aside, wish = await sharing(worktrees, repository)
    before = repository.head("mp/one")
    repository.commit("readme.txt", "theirs", at=aside)
    repository.write("readme.txt", "half done", at=home)
    refusal = refused(await worktrees.settle(wish))
    assert (refusal.reason, refusal.path, refusal.files) == ("dirty_repository", str(home), ("readme.txt",))
    assert repository.head("mp/one") == before
    assert text_of(home, "readme.txt") == "half done"


async def test_local_changes_in_the_way_of_coming_along_are_kept_and_named(
    worktrees: Worktrees, repository: Repository
):
    home, aside, wish = await sharing(worktrees, repository)
    before = repository.head(at=aside)
    repository.commit("readme.txt", "theirs", at=home)
    repository.write("readme.txt", "half done", at=aside)
    refusal = refused(await worktrees.settle(wish))
    assert (refusal.reason, refusal.path, refusal.files) == ("dirty_repository", str(aside), ("readme.txt",))
    assert repository.head(at=aside) == before
    assert text_of(aside, "readme.txt") == "half done"


async def test_an_ignored_file_in_the_way_of_coming_along_is_kept_and_named(
    worktrees: Worktrees, repository: Repository
):
    home, aside, wish = await sharing(worktrees, repository)
    repository.write("key.log", "theirs", at=home)
    repository.git("add", "--force", "key.log", at=home)
    repository.git("commit", "--quiet", "--message", "A key", at=home)
    repository.write("key.log", "mine", at=aside)
    refusal = refused(await worktrees.settle(wish))
    assert (refusal.reason, refusal.path, refusal.files) == ("dirty_repository", str(aside), ("key.log",))
    assert text_of(aside, "key.log") == "mine"


async def test_work_that_was_taken_along_and_committed_as_it_was_is_in_nobodys_way(
    worktrees: Worktrees, repository: Repository
):
    home = Path(granted(await worktrees.create(repository.to_create())).path)
    repository.write("readme.txt", "half done", at=home)
    repository.write("new *.txt", "new", at=home)
    shared = msgspec.structs.replace(repository.to_share(), work_of=str(home))
    aside = Path(granted(await worktrees.create(shared)).path)
    repository.git("add", "--all", at=aside)
    repository.git("commit", "--quiet", "--message", "All of it", at=aside)
    wish = SettleSpec(repository=str(repository.path), path=str(aside), branch="mp/one")
    assert granted(await worktrees.settle(wish)).head == repository.head("mp/one")
    assert repository.git("status", "--porcelain", at=home) == ""
    assert (text_of(home, "readme.txt"), text_of(home, "new *.txt")) == ("half done", "new")


async def test_what_is_staged_otherwise_is_not_given_up_for_a_shared_branch(
    worktrees: Worktrees, repository: Repository
):
    home, aside, wish = await sharing(worktrees, repository)
    repository.commit("readme.txt", "theirs", at=aside)
    repository.write("readme.txt", "staged", at=home)
    repository.git("add", "readme.txt", at=home)
    repository.write("readme.txt", "theirs", at=home)
    assert refused(await worktrees.settle(wish)).reason == "dirty_repository"
    assert repository.git("show", ":readme.txt", at=home) == "staged"


async def test_a_worktree_that_was_put_on_another_branch_is_left_alone(
    worktrees: Worktrees, repository: Repository
):
    _, aside, wish = await sharing(worktrees, repository)
    before = repository.head("mp/one")
    repository.git("switch", "--quiet", "--create", "elsewhere", at=aside)
    repository.commit("a.txt", "a", at=aside)
    refusal = refused(await worktrees.settle(wish))
    assert (refusal.reason, "switch --detach" in refusal.hint) == ("worktree_conflict", True)
    assert repository.head("mp/one") == before


async def test_a_shared_branch_that_is_gone_is_named(worktrees: Worktrees, repository: Repository):
    home, _, wish = await sharing(worktrees, repository)
    granted(await worktrees.remove(repository.to_remove(home)))
    repository.git("branch", "-D", "mp/one")
    assert refused(await worktrees.settle(wish)).reason == "ref_missing"


async def test_what_is_not_on_its_shared_branch_is_saved_before_a_removal(
    worktrees: Worktrees, repository: Repository
):
    _, aside, wish = await sharing(worktrees, repository)
    removal = repository.to_remove(aside)
    head = repository.commit("b.txt", "b", at=aside)
    assert granted(await worktrees.remove(removal)).salvage_commit == head
    granted(await worktrees.create(repository.to_share()))
    granted(await worktrees.settle(wish))
    again = msgspec.structs.replace(removal, worktree_id="01920000-0000-7000-8000-000000000002")
    assert granted(await worktrees.remove(again)).salvage_ref is None
