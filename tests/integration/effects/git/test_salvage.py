"""Nothing that exists nowhere else is lost with a worktree."""

import shutil
from pathlib import Path

import pytest

from moduprompt.effects.git.program import GitProgram
from tests.support.git_repository import (
    SALVAGE,
    Repository,
    granted,
    made,
    make_repository,
    refused,
    text_of,
    to_commit,
)


async def test_what_was_staged_and_then_changed_is_saved_in_both_states(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    repository.write("readme.txt", "staged", at=path)
    repository.git("add", "readme.txt", at=path)
    repository.write("readme.txt", "changed again", at=path)
    granted(await git.remove(repository.to_remove(path)))
    assert repository.git("show", f"{SALVAGE}:readme.txt") == "changed again"
    assert repository.git("show", f"{SALVAGE}^2:readme.txt") == "staged"


async def test_an_unfinished_merge_is_saved_with_its_marks_and_both_sides(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    ours = repository.commit("readme.txt", "ours", at=path)
    theirs = repository.commit("readme.txt", "theirs")
    repository.git("merge", "main", at=path, check=False)
    refusal = refused(await git.commit(to_commit(path, since=ours)))
    assert (refusal.reason, refusal.files) == ("merge_conflict", ("readme.txt",))
    granted(await git.remove(repository.to_remove(path)))
    assert "<<<<<<<" in repository.git("show", f"{SALVAGE}:readme.txt")
    assert repository.git("log", "-1", "--format=%P", SALVAGE) == f"{ours} {theirs}"


async def test_commits_on_a_detached_head_are_saved(git: GitProgram, repository: Repository) -> None:
    path = await made(git, repository)
    repository.git("checkout", "--quiet", "--detach", at=path)
    lost = repository.commit("a.txt", "a", at=path)
    facts = granted(await git.commit(to_commit(path, since=repository.head())))
    assert (facts.branch, facts.commits) == (None, (lost,))
    assert granted(await git.remove(repository.to_remove(path))).salvage_commit == lost


async def test_a_later_salvage_keeps_the_earlier_one(git: GitProgram, repository: Repository) -> None:
    for text in ("first", "second"):
        path = await made(git, repository)
        repository.write("draft.txt", text, at=path)
        granted(await git.remove(repository.to_remove(path)))
    assert repository.git("show", f"{SALVAGE}:draft.txt") == "second"
    assert repository.git("show", f"{SALVAGE}^2:draft.txt") == "first"


async def test_the_commits_of_a_worktree_whose_folder_is_gone_are_saved(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    lost = repository.commit("a.txt", "a", at=path)
    shutil.rmtree(path)
    assert granted(await git.remove(repository.to_remove(path))).salvage_commit == lost
    assert len(repository.git("worktree", "list").splitlines()) == 1


async def test_a_repository_inside_is_left_out_of_commits_and_keeps_a_worktree_from_going(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    since = repository.head()
    repository.git("init", "--quiet", str(path / "inner repo"))
    repository.git("init", "--quiet", str(path / "deep" / "unborn"))
    repository.commit("work.txt", "work", at=path / "inner repo")
    repository.write("unborn.txt", "x", at=path / "deep" / "unborn")
    repository.write("plain.txt", "plain", at=path)
    facts = granted(await git.commit(to_commit(path, since=since)))
    assert (facts.files_changed, facts.clean) == (1, False)
    assert facts.left_out == ("deep/unborn/", "inner repo/")
    refusal = refused(await git.remove(repository.to_remove(path)))
    assert (refusal.reason, refusal.files) == ("worktree_conflict", ("deep/unborn/", "inner repo/"))
    assert text_of(path / "inner repo", "work.txt") == "work"


async def test_a_submodule_with_unpushed_work_keeps_a_worktree_from_going(
    git: GitProgram, repository: Repository, tmp_path: Path
) -> None:
    library = make_repository(tmp_path / "library", home=repository.home)
    allow = ("-c", "protocol.file.allow=always")
    repository.git(*allow, "submodule", "--quiet", "add", str(library.path), "lib")
    repository.git("commit", "--quiet", "--message", "Add lib")
    path = await made(git, repository)
    repository.git(*allow, "submodule", "--quiet", "update", "--init", at=path)
    since = repository.head()
    assert granted(await git.commit(to_commit(path, since=since))).clean
    repository.git("checkout", "--quiet", "--detach", at=path / "lib")
    repository.commit("fix.txt", "fix", at=path / "lib")
    facts = granted(await git.commit(to_commit(path, since=since)))
    assert facts.clean, "the submodule's new commit is recorded"
    refusal = refused(await git.remove(repository.to_remove(path)))
    assert (refusal.reason, refusal.files) == ("worktree_conflict", ("lib",))
    repository.git("push", "--quiet", "origin", "HEAD:refs/heads/fix", at=path / "lib")
    granted(await git.remove(repository.to_remove(path)))


async def test_folders_without_write_permission_can_be_removed(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    repository.write("cache.log/deep/file", "x", at=path)
    (path / "cache.log" / "deep").chmod(0o555)
    granted(await git.remove(repository.to_remove(path)))
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("how", ["--skip-worktree", "--assume-unchanged"])
async def test_changes_that_git_was_told_not_to_look_at_are_saved(
    git: GitProgram, repository: Repository, how: str
) -> None:
    repository.commit("settings *.ini", "for all")
    tree = await made(git, repository)
    repository.git("update-index", how, "settings *.ini", "readme.txt", at=tree)
    repository.write("settings *.ini", "for me alone", at=tree)
    assert repository.git("status", "--porcelain", at=tree) == ""
    commit = granted(await git.remove(repository.to_remove(tree))).salvage_commit
    assert repository.git("show", f"{commit}:settings *.ini") == "for me alone"
    assert repository.git("diff", "--name-only", "main", str(commit)) == "settings *.ini"


@pytest.mark.parametrize("how", ["--skip-worktree", "--assume-unchanged"])
async def test_a_folder_in_the_place_of_a_file_that_git_was_told_not_to_look_at_is_saved(
    git: GitProgram, repository: Repository, how: str
) -> None:
    tree = await made(git, repository)
    repository.git("update-index", how, "readme.txt", at=tree)
    (tree / "readme.txt").unlink()
    repository.write("readme.txt/part.txt", "mine", at=tree)
    commit = granted(await git.remove(repository.to_remove(tree))).salvage_commit
    assert repository.git("show", f"{commit}:readme.txt/part.txt") == "mine"


async def test_what_git_was_told_not_to_look_at_and_nobody_has_changed_needs_no_salvage(
    git: GitProgram, repository: Repository
) -> None:
    tree = await made(git, repository)
    repository.git("update-index", "--skip-worktree", "readme.txt", at=tree)
    assert granted(await git.remove(repository.to_remove(tree))).salvage_commit is None


async def test_what_lies_outside_of_a_sparse_checkout_is_saved_and_what_is_not_there_is_no_loss(
    git: GitProgram, repository: Repository
) -> None:
    repository.commit("in/a.txt", "a")
    repository.commit("out/b.txt", "b")
    repository.commit("far/c.txt", "c")
    tree = await made(git, repository)
    repository.git("sparse-checkout", "set", "--cone", "in", at=tree)
    assert not (tree / "out").exists()
    repository.write("out/b.txt", "mine", at=tree)
    repository.write("new/d.txt", "d", at=tree)
    commit = granted(await git.remove(repository.to_remove(tree))).salvage_commit
    assert repository.git("show", f"{commit}:out/b.txt") == "mine"
    changed = repository.git("diff", "--name-only", "main", str(commit))
    assert changed.splitlines() == ["new/d.txt", "out/b.txt"]
