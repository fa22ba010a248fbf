"""What a killed git, agent or daemon leaves behind, and that asking again mends it."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.git.port import SettleSpec
from moduprompt.effects.git.program import GitProgram
from tests.support.git_repository import (
    SALVAGE,
    Repository,
    git_environment,
    granted,
    made,
    refused,
    text_of,
    to_commit,
)


def leave_lock(repository: Repository, path: Path) -> Path:
    """The index lock of a git that is not there any more, or not yet done."""
    lock = Path(repository.git("rev-parse", "--git-path", "index.lock", at=path))
    lock.write_text("")
    return lock


@contextlib.contextmanager
def living_git(path: Path) -> Generator[None]:
    """A git that was started before now and waits."""
    command = ["git", "cat-file", "--batch"]
    with subprocess.Popen(command, cwd=path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        yield
        process.communicate()


async def test_the_lock_of_a_killed_git_is_taken_away(git: GitProgram, repository: Repository) -> None:
    path = await made(git, repository)
    repository.write("a.txt", "a", at=path)
    lock = leave_lock(repository, path)
    os.utime(lock, (0, 0))
    assert granted(await git.commit(to_commit(path, since=repository.head()))).clean
    assert text_of(lock.parent, lock.name) is None


async def test_the_lock_of_a_living_git_is_respected(git: GitProgram, repository: Repository) -> None:
    path = await made(git, repository)
    repository.write("a.txt", "a", at=path)
    with living_git(path):
        lock = leave_lock(repository, path)
        refusal = refused(await git.commit(to_commit(path, since=repository.head())))
    assert refusal.reason == "git_failed"
    assert str(lock) in refusal.hint
    assert text_of(lock.parent, lock.name) is not None


async def test_looking_and_salvaging_need_no_index_lock(git: GitProgram, repository: Repository) -> None:
    path = await made(git, repository)
    repository.write("a.txt", "a", at=path)
    leave_lock(repository, path)
    assert granted(await git.status(str(path))).untracked == 1
    assert granted(await git.remove(repository.to_remove(path))).salvage_ref == SALVAGE


async def test_a_branch_made_just_before_a_crash_is_taken_up_again(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    # As it is between making the branch and making the folder.
    repository.git("worktree", "remove", str(path))
    assert granted(await git.create(repository.to_create())).path == str(path)


async def test_a_branch_of_ours_that_has_moved_is_not_taken_up(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    repository.commit("a.txt", "a", at=path)
    repository.git("worktree", "remove", str(path))
    assert refused(await git.create(repository.to_create())).reason == "branch_exists"


async def test_a_worktree_that_git_never_finished_is_made_again(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    admin = Path(repository.git("rev-parse", "--absolute-git-dir", at=path))
    (admin / "locked").write_text("initializing")
    (path / "readme.txt").unlink()
    (path / ".git").unlink()
    granted(await git.create(repository.to_create()))
    assert text_of(path, "readme.txt")


async def test_a_worktree_whose_folder_was_deleted_is_made_again(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    head = repository.commit("a.txt", "a", at=path)
    shutil.rmtree(path)
    assert granted(await git.create(repository.to_create())).head == head
    assert text_of(path, "a.txt") == "a"


async def test_a_removal_that_was_killed_half_way_is_finished(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    repository.write("draft.txt", "draft", at=path)
    copy = path.with_name("copy")
    shutil.copytree(path, copy, symlinks=True)
    first = granted(await git.remove(repository.to_remove(path)))
    # Killed between unregistering the worktree and deleting its folder.
    copy.rename(path.with_name(f".{path.name}.removed"))
    assert granted(await git.remove(repository.to_remove(path))) == first
    assert list(path.parent.iterdir()) == []


async def test_a_scratch_worktree_of_a_killed_merge_is_swept(git: GitProgram, repository: Repository) -> None:
    folder = repository.path / ".git" / "moduprompt"
    folder.mkdir()
    (folder / "merge-0.lock").write_text("")
    repository.git("worktree", "add", "--quiet", "--detach", str(folder / "merge-0"))
    path = await made(git, repository)
    repository.commit("a.txt", "a", at=path)
    granted(await git.merge(repository.to_merge()))
    assert list(folder.iterdir()) == []
    assert len(repository.git("worktree", "list").splitlines()) == 2


async def test_a_clone_that_was_killed_is_made_again(
    git: GitProgram, repository: Repository, tmp_path: Path
) -> None:
    half = tmp_path / ".copy.part" / ".git"
    half.mkdir(parents=True)
    (half / "HEAD").write_text("ref: refs/heads/main\n")
    granted(await git.clone(str(repository.path), str(tmp_path / "copy")))
    assert not half.parent.exists()


DAEMON = """
import asyncio, os, sys, msgspec
from moduprompt.effects.git import port
from moduprompt.effects.git.port import SettleSpec
from moduprompt.effects.git.program import GitProgram
call, kind, spec = sys.argv[1:]
wish = msgspec.json.decode(spec, type=getattr(port, kind))
asyncio.run(getattr(GitProgram(environment=dict(os.environ)), call)(wish))
"""


async def killed_daemon(repository: Repository, call: str, *, wish: msgspec.Struct, before: str) -> None:
    """A daemon of its own begins the call and is killed when it starts a git with these words."""
    folder = repository.home / "bin"
    folder.mkdir(exist_ok=True)
    stub = folder / "git"
    real = shutil.which("git")
    stub.write_text(f'#!/bin/sh\ncase "$*" in *"{before}"*) kill -9 $PPID; exit 1;; esac\nexec {real} "$@"\n')
    stub.chmod(0o755)
    environment = git_environment(repository.home)
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    spec = msgspec.json.encode(wish).decode()
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, call, type(wish).__name__, spec, env=environment
    )
    assert await daemon.wait() == -signal.SIGKILL, f"the call never came to {before!r}"


@pytest.mark.parametrize("step", ["worktree add", "merge --no-ff", "merge --ff-only", "worktree remove"])
async def test_a_merge_that_was_killed_is_finished_once(
    git: GitProgram, repository: Repository, step: str
) -> None:
    path = await made(git, repository)
    repository.commit("a.txt", "a", at=path)
    await killed_daemon(repository, "merge", wish=repository.to_merge(), before=step)
    first = granted(await git.merge(repository.to_merge()))
    assert text_of(repository.path, "a.txt") == "a"
    assert repository.git("rev-list", "--count", "--merges", "main") == "1"
    assert repository.git("status", "--porcelain") == ""
    assert granted(await git.merge(repository.to_merge())).merge_commit == first.merge_commit
    # The next merge with work to do sweeps what is left of the killed one.
    repository.commit("b.txt", "b", at=path)
    granted(await git.merge(repository.to_merge()))
    assert len(repository.git("worktree", "list").splitlines()) == 2
    assert repository.git("fsck", "--strict", "--no-dangling") == ""


@pytest.mark.parametrize("step", ["worktree add", "rev-parse --verify HEAD^{commit}"])
async def test_a_worktree_on_a_shared_branch_that_was_killed_is_made(
    git: GitProgram, repository: Repository, step: str
) -> None:
    home = await made(git, repository)
    wish = repository.to_share()
    await killed_daemon(repository, "create", wish=wish, before=step)
    assert granted(await git.create(wish)).head == repository.head(at=home)
    assert text_of(wish.path, "readme.txt")


async def beside(git: GitProgram, repository: Repository) -> tuple[Path, SettleSpec]:
    """A worktree that shares the branch of another one, and the wish to settle it."""
    path = Path(granted(await git.create(repository.to_share())).path)
    return path, SettleSpec(repository=str(repository.path), path=str(path), branch="mp/one")


@pytest.mark.parametrize("step", ["merge-base --is-ancestor", "worktree list", "merge --ff-only"])
async def test_a_settling_that_was_killed_is_finished_once(
    git: GitProgram, repository: Repository, step: str
) -> None:
    home = await made(git, repository)
    aside, wish = await beside(git, repository)
    head = repository.commit("a.txt", "a", at=aside)
    await killed_daemon(repository, "settle", wish=wish, before=step)
    assert granted(await git.settle(wish)).head == head
    assert (repository.head("mp/one"), text_of(home, "a.txt")) == (head, "a")
    assert repository.git("status", "--porcelain", at=home) == ""
    assert repository.git("reflog", "show", "mp/one", "--format=%H").splitlines().count(head) == 1


@pytest.mark.parametrize("step", ["worktree list", "update-ref"])
async def test_a_settling_of_a_branch_that_is_checked_out_nowhere_is_finished_once(
    git: GitProgram, repository: Repository, step: str
) -> None:
    home = await made(git, repository)
    aside, wish = await beside(git, repository)
    granted(await git.remove(repository.to_remove(home)))
    head = repository.commit("a.txt", "a", at=aside)
    await killed_daemon(repository, "settle", wish=wish, before=step)
    assert granted(await git.settle(wish)).head == head
    assert repository.git("reflog", "show", "mp/one", "--format=%H").splitlines().count(head) == 1


async def test_files_that_a_killed_fast_forward_has_written_are_no_changes_of_anybody(
    git: GitProgram, repository: Repository
) -> None:
    repository.commit("gone.txt", "gone")
    home = await made(git, repository)
    aside, wish = await beside(git, repository)
    repository.git("rm", "--quiet", "gone.txt", at=aside)
    repository.commit("a.txt", "a", at=aside)
    head = repository.commit("readme.txt", "later", at=aside)
    # As it is when git was killed after it had written files, before it wrote its index and the branch.
    repository.write("a.txt", "a", at=home)
    repository.write("readme.txt", "later", at=home)
    (home / "gone.txt").unlink()
    assert granted(await git.settle(wish)).head == head
    assert repository.git("status", "--porcelain", at=home) == ""


async def test_the_lock_of_a_git_that_was_killed_while_it_settled_is_taken_away(
    git: GitProgram, repository: Repository
) -> None:
    home = await made(git, repository)
    aside, wish = await beside(git, repository)
    head = repository.commit("a.txt", "a", at=aside)
    os.utime(leave_lock(repository, home), (0, 0))
    assert granted(await git.settle(wish)).head == head


@pytest.mark.parametrize("step", ["update-ref", "worktree add", "rev-parse --verify HEAD^{commit}"])
async def test_a_creation_that_was_killed_is_finished(
    git: GitProgram, repository: Repository, step: str
) -> None:
    wish = repository.to_create()
    await killed_daemon(repository, "create", wish=wish, before=step)
    assert granted(await git.create(wish)).head == repository.head()
    assert text_of(wish.path, "readme.txt")


@pytest.mark.parametrize("step", ["add --all", "commit --quiet", "rev-list --count"])
async def test_a_commit_that_was_killed_is_made_once(
    git: GitProgram, repository: Repository, step: str
) -> None:
    path = await made(git, repository)
    repository.write("a.txt", "a", at=path)
    wish = to_commit(path, since=repository.head())
    await killed_daemon(repository, "commit", wish=wish, before=step)
    facts = granted(await git.commit(wish))
    assert (facts.commits_total, facts.files_changed, facts.clean) == (1, 1, True)


@pytest.mark.parametrize("step", ["write-tree", "update-ref", "worktree remove"])
async def test_a_removal_that_was_killed_loses_nothing(
    git: GitProgram, repository: Repository, step: str
) -> None:
    path = await made(git, repository)
    repository.write("draft.txt", "draft", at=path)
    await killed_daemon(repository, "remove", wish=repository.to_remove(path), before=step)
    facts = granted(await git.remove(repository.to_remove(path)))
    assert facts.salvage_ref == SALVAGE
    assert repository.git("show", f"{SALVAGE}:draft.txt") == "draft"
    assert list(path.parent.iterdir()) == []
    assert granted(await git.remove(repository.to_remove(path))) == facts
