"""A worktree whose folder is not its own any more: nothing is done to whatever git finds from there."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.effects.git.port import SettleSpec, WorktreeSpec
from moduprompt.effects.git.program import GitProgram
from tests.support.git_repository import (
    Repository,
    granted,
    made,
    make_repository,
    refused,
    text_of,
    to_commit,
)


def _put_a_link(tree: Path, *, to: Path) -> None:
    shutil.rmtree(tree)
    tree.symlink_to(to)


async def test_a_link_to_another_worktree_is_not_followed_when_the_first_is_removed(
    git: GitProgram, repository: Repository
) -> None:
    one, two = await made(git, repository, "one"), await made(git, repository, "two")
    repository.write("work.txt", "of the second", at=two)
    _put_a_link(one, to=two)
    why = refused(await git.remove(repository.to_remove(one)))
    assert (why.reason, text_of(two, "work.txt")) == ("worktree_conflict", "of the second")
    one.unlink()  # as the hint says
    granted(await git.remove(repository.to_remove(one)))
    assert text_of(two, "work.txt") == "of the second"
    granted(await git.remove(repository.to_remove(two)))


async def test_a_worktree_to_which_a_link_leads_is_removed_as_itself(
    git: GitProgram, repository: Repository
) -> None:
    one, two = await made(git, repository, "one"), await made(git, repository, "two")
    _put_a_link(one, to=two)
    granted(await git.remove(repository.to_remove(two)))
    assert not two.exists()
    assert str(two) not in repository.git("worktree", "list")


async def test_what_a_person_has_not_committed_is_not_committed_through_a_link(
    git: GitProgram, repository: Repository
) -> None:
    tree, before = await made(git, repository), repository.head()
    repository.write("own.txt", "of a person")
    _put_a_link(tree, to=repository.path)
    assert refused(await git.commit(to_commit(tree, since=before))).reason == "worktree_conflict"
    assert repository.head() == before
    assert await git.contents(str(tree)) is None
    refused(await git.status(str(tree)))


@pytest.mark.parametrize("around", ["a home", "the repository itself"])
async def test_a_worktree_that_lost_its_link_is_not_taken_for_the_repository_around_it(
    git: GitProgram, tmp_path: Path, around: str
) -> None:
    outer = make_repository(tmp_path / "outer", home=tmp_path / "home")
    inner = make_repository(outer.path / "src", home=tmp_path / "home") if around == "a home" else outer
    path = outer.path / ".data" / "one"
    spec = WorktreeSpec(repository=str(inner.path), path=str(path), branch="mp/one", base="main")
    granted(await git.create(spec))
    outer.write("private.txt", "of a person")
    before = outer.head()
    (path / ".git").unlink()
    assert refused(await git.commit(to_commit(path, since=before))).reason == "worktree_conflict"
    assert outer.head() == before
    assert await git.contents(str(path)) is None
    refused(await git.status(str(path)))
    refused(await git.settle(SettleSpec(repository=str(inner.path), path=str(path), branch="mp/one")))
    forked = replace(inner.to_create("two"), work_of=str(path))
    assert refused(await git.create(forked)).reason == "worktree_conflict"
    assert refused(await git.remove(inner.to_remove(path))).reason == "worktree_conflict"
    assert (path / "readme.txt").is_file()


async def test_a_link_where_a_worktree_shall_be_is_refused(
    git: GitProgram, repository: Repository, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    spec = repository.to_create()
    trees = repository.path.parent / "trees"
    trees.mkdir()
    (trees / "one").symlink_to(elsewhere)
    assert refused(await git.create(spec)).reason == "worktree_conflict"
    assert not any(elsewhere.iterdir())


async def test_a_folder_that_links_lead_to_is_a_worktrees_own(
    git: GitProgram, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (repository.path.parent / "trees").symlink_to(tmp_path / "disk")
    spec = repository.to_create()
    first, again = granted(await git.create(spec)), granted(await git.create(spec))
    assert first == again
    repository.write("work.txt", "done", at=Path(first.path))
    assert granted(await git.commit(to_commit(spec.path, since=first.head))).files_changed == 1
    granted(await git.remove(repository.to_remove(spec.path)))
    assert not (tmp_path / "disk" / "one").exists()
