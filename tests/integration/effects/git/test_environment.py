"""Hostile names, variables that lead astray, identities, hooks, and a git that is missing or hangs."""

import asyncio
import os
from pathlib import Path

import pytest

from moduprompt.effects.git.port import WorktreeSpec
from moduprompt.effects.git.program import GitProgram
from tests.support.deadline import eventually
from tests.support.git_repository import (
    SALVAGE,
    Repository,
    git_environment,
    granted,
    made,
    make_repository,
    program,
    refused,
    text_of,
    to_commit,
)

NAMES = ("a b", "new\nline", "quote\"'", "-dash", "ünï", "\\back", "glob*[x]", ":colon", " edge ")


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_works_for_folders_and_files(tmp_path: Path, name: str) -> None:
    repository = make_repository(tmp_path / name / "repository", home=tmp_path / "home")
    git = program(repository)
    spec = WorktreeSpec(
        repository=str(repository.path), path=str(tmp_path / name / "trees" / name), branch="topic"
    )
    since = granted(await git.create(spec)).head
    repository.write(name, "work", at=Path(spec.path))
    assert granted(await git.commit(to_commit(Path(spec.path), since=since))).files_changed == 1
    granted(await git.merge(repository.to_merge("topic")))
    assert text_of(repository.path, name) == "work"
    repository.write(f"{name}2", "draft", at=Path(spec.path))
    assert granted(await git.remove(repository.to_remove(Path(spec.path)))).salvage_ref == SALVAGE
    assert repository.git("show", f"{SALVAGE}:{name}2") == "draft"


async def test_a_file_name_that_is_no_text_is_committed_and_shown_escaped(
    git: GitProgram, repository: Repository
) -> None:
    path = await made(git, repository)
    since = repository.head()
    name = os.fsdecode(b"caf\xe9")
    repository.write(name, "theirs", at=path)
    repository.write(name, "ours")
    assert granted(await git.commit(to_commit(path, since=since))).files_changed == 1
    refusal = refused(await git.merge(repository.to_merge()))
    assert (refusal.reason, refusal.files) == ("dirty_repository", ("caf\\xe9",))


async def test_a_folder_name_that_is_no_text_is_refused_in_words(git: GitProgram, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.mkdir()
    refusal = refused(await git.inspect(str(path)))
    assert refusal.reason == "git_failed"
    refusal.path.encode("utf-8")


async def test_variables_of_whoever_started_us_lead_nowhere_else(
    repository: Repository, tmp_path: Path
) -> None:
    other = make_repository(tmp_path / "other", home=repository.home)
    git = program(
        repository,
        GIT_DIR=str(other.path / ".git"),
        GIT_WORK_TREE=str(other.path),
        GIT_INDEX_FILE=str(other.path / "index"),
        GIT_AUTHOR_NAME="Nobody",
    )
    facts = granted(await git.inspect(str(repository.path)))
    assert facts.path == str(repository.path)


async def test_the_committer_is_the_users_own_identity_where_there_is_one(repository: Repository) -> None:
    git = program(repository)
    path = await made(git, repository)
    repository.write("a.txt", "a", at=path)
    granted(await git.commit(to_commit(path, since=repository.head())))
    assert repository.git("log", "-1", "--format=%an %cn", at=path) == "Ada ModuPrompt"
    config = "[user]\nname = Grace\nemail = g@x.org\n[commit]\ngpgSign = true\n[gpg]\nprogram = false\n"
    (repository.home / ".gitconfig").write_text(config)
    repository.write("b.txt", "b", at=path)
    granted(await git.commit(to_commit(path, since=repository.head())))
    assert repository.git("log", "-1", "--format=%an %cn <%ce>", at=path) == "Ada Grace <g@x.org>"


async def test_a_repositorys_hooks_do_not_run_in_our_commits(git: GitProgram, repository: Repository) -> None:
    for hook in (
        "pre-commit",
        "post-checkout",
        "commit-msg",
        "pre-merge-commit",
        "post-merge",
        "reference-transaction",
    ):
        file = repository.path / ".git" / "hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\ntouch '{repository.home}/hook-ran'\nexit 1\n")
        file.chmod(0o755)
    path = await made(git, repository)
    repository.write("a.txt", "a", at=path)
    granted(await git.commit(to_commit(path, since=repository.head())))
    granted(await git.merge(repository.to_merge()))
    assert text_of(repository.home, "hook-ran") is None


@pytest.mark.parametrize(
    ("name", "value"), [("branch.main.mergeOptions", "--squash"), ("branch.main.mergeOptions", "--no-commit")]
)
async def test_what_a_person_has_set_for_merges_changes_none_of_ours(
    git: GitProgram, repository: Repository, name: str, value: str
) -> None:
    repository.commit("new.txt", "work", at=await made(git, repository))
    repository.git("config", name, value)
    merged = granted(await git.merge(repository.to_merge()))
    assert (repository.head("main"), text_of(repository.path, "new.txt")) == (merged.head_after, "work")
    assert repository.git("status", "--porcelain") == ""


async def test_local_changes_are_named_also_where_a_person_has_them_moved_aside(
    git: GitProgram, repository: Repository
) -> None:
    repository.commit("readme.txt", "theirs", at=await made(git, repository))
    repository.git("config", "merge.autoStash", "true")
    repository.write("readme.txt", "mine")
    assert refused(await git.merge(repository.to_merge())).files == ("readme.txt",)
    assert text_of(repository.path, "readme.txt") == "mine"


async def test_a_machine_without_git_is_told_so(repository: Repository, tmp_path: Path) -> None:
    git = GitProgram(environment={"PATH": str(tmp_path)})
    refusal = refused(await git.inspect(str(repository.path)))
    assert refusal.reason == "git_missing"
    assert refusal.hint


async def test_a_git_that_hangs_is_ended_with_all_it_started(repository: Repository, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    slow = tmp_path / "slow-git"
    slow.write_text(f"#!/bin/sh\n(trap '' TERM; sleep 600) &\necho $! $$ > '{pids}'\nwait\n")
    slow.chmod(0o755)
    git = GitProgram(environment=git_environment(repository.home), program=str(slow), time_limit_s=1.0)
    assert refused(await git.inspect(str(repository.path))).reason == "timed_out"
    started = [int(pid) for pid in (text_of(tmp_path, "pids") or "").split()]
    assert len(started) == 2
    eventually(lambda: not any(map(is_running, started)))


def is_running(pid: int) -> bool:
    state = text_of(f"/proc/{pid}", "stat")
    return state is not None and state.rpartition(")")[2].split()[0] not in {"Z", "X"}


async def test_a_cancelled_call_leaves_no_git_behind(repository: Repository, tmp_path: Path) -> None:
    fifo = tmp_path / "pids"
    os.mkfifo(fifo)
    slow = tmp_path / "slow-git"
    slow.write_text(f"#!/bin/sh\necho $$ > '{fifo}'\nexec sleep 600\n")
    slow.chmod(0o755)
    git = GitProgram(environment=git_environment(repository.home), program=str(slow))
    call = asyncio.create_task(git.inspect(str(repository.path)))
    pid = int(await asyncio.to_thread(fifo.read_text))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not is_running(pid)
