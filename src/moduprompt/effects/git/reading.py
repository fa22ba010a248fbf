"""Looks at a repository without changing it or taking a lock."""

import os
from collections.abc import Mapping
from pathlib import Path

from blake3 import blake3

from moduprompt.effects.git.parse import (
    Garbled,
    StatusReport,
    WorktreeEntry,
    is_hidden,
    names,
    parse_status,
    parse_worktrees,
)
from moduprompt.effects.git.place import exists, find_place
from moduprompt.effects.git.port import RepositoryFacts
from moduprompt.effects.git.process import GitProcess, refuse

USAGE_ERROR = 129  # git's exit code for an option it does not know
WHOLE = ("-c", "core.sparseCheckout=false")  # else git passes over what lies outside of a sparse checkout
GITLINK_MODE = b"160000"  # a submodule's entry in the index


async def find_commit(git: GitProcess, name: str, *, at: str) -> str | None:
    """The commit that a branch, a branch of origin or a commit expression names, in this order."""
    if not name or name.startswith("-") or "\0" in name:
        return None
    for candidate in (f"refs/heads/{name}", f"refs/remotes/origin/{name}", name):
        found = await git.run(
            "rev-parse", "--verify", "--quiet", f"{candidate}^{{commit}}", at=at, accept=(0, 1, 128)
        )
        if found.code == 0:
            return found.line
    return None


async def require_commit(git: GitProcess, name: str, *, at: str) -> str:
    found = await find_commit(git, name, at=at)
    if found is None:
        message = f"{at} has no branch or commit {name!r}"
        raise refuse("ref_missing", message, path=at, hint=f"git -C {at} branch --all")
    return found


async def find_ref(git: GitProcess, ref: str, *, at: str) -> str | None:
    """What a full reference name points at."""
    found = await git.run("rev-parse", "--verify", "--quiet", ref, at=at, accept=(0, 1))
    return found.line if found.code == 0 else None


async def holds(git: GitProcess, commit: str, *, earlier: str, at: str) -> bool:
    """Whether a commit is another one, or goes on from it."""
    found = await git.run("merge-base", "--is-ancestor", earlier, commit, at=at, accept=(0, 1))
    return found.code == 0


async def current_branch(git: GitProcess, *, at: str) -> str | None:
    found = await git.run("symbolic-ref", "--quiet", "HEAD", at=at, accept=(0, 1))
    return found.line.removeprefix("refs/heads/") if found.code == 0 else None


async def read_status(git: GitProcess, *, at: str, every_file: bool = False) -> StatusReport:
    """`every_file` lists the inside of untracked folders too; a folder that stays is a repository of its own."""
    untracked = "all" if every_file else "normal"
    options = (
        "--porcelain=v2",
        "--branch",
        "-z",
        f"--untracked-files={untracked}",
        "--ignore-submodules=none",
    )
    found = await git.run("status", *options, at=at)
    try:
        return parse_status(found.stdout)
    except Garbled as fault:
        raise refuse("git_failed", f"git status can't be read: {fault}", path=at) from fault


def digest_of(report: StatusReport, *, at: str) -> str:
    """What is not committed, in one word: names, and for what lies on the disk its size and time. Empty where all is."""
    if report.is_clean:
        return ""
    digest = blake3()
    for group in (report.staged, report.unstaged, report.untracked, report.conflicted):
        for name in group:
            digest.update(name + b"\0" + _shape(Path(at) / os.fsdecode(name)) + b"\0")
        digest.update(b"\0")
    return digest.hexdigest()


def _shape(path: Path) -> bytes:
    try:
        found = path.lstat()
    except OSError:
        return b"gone"
    return b"%d %d" % (found.st_size, found.st_mtime_ns)


async def list_worktrees(git: GitProcess, *, at: str) -> tuple[WorktreeEntry, ...]:
    found = await git.run("worktree", "list", "--porcelain", "-z", at=at, accept=(0, USAGE_ERROR))
    separator = b"\0"
    if found.code == USAGE_ERROR:  # git before 2.36 knows no -z here
        found, separator = await git.run("worktree", "list", "--porcelain", at=at), b"\n"
    try:
        return parse_worktrees(found.stdout, separator=separator)
    except Garbled as fault:
        raise refuse("git_failed", f"git worktree list can't be read: {fault}", path=at) from fault


async def hidden_files(
    git: GitProcess, *, at: str, extra: Mapping[str, str] | None = None
) -> tuple[bytes, ...]:
    """Files that git was told not to look at (assume-unchanged, skip-worktree) and that are there all the same."""
    found = await git.run(*WHOLE, "ls-files", "-v", "-z", at=at, extra=extra)
    marked = (
        name for tag, _, name in (each.partition(b" ") for each in names(found.stdout)) if is_hidden(tag)
    )
    return tuple(name for name in marked if exists(at, os.fsdecode(name)))


async def submodules_of(git: GitProcess, *, at: str) -> tuple[bytes, ...]:
    found = await git.run("ls-files", "--stage", "-z", at=at)
    entries = (entry.partition(b"\t") for entry in names(found.stdout))
    return tuple(path for meta, _, path in entries if meta.startswith(GITLINK_MODE))


async def repository_facts(git: GitProcess, path: str) -> RepositoryFacts:
    place = await find_place(git, path)
    head = await find_ref(git, "HEAD^{commit}", at=place.top)
    if head is None:
        message = f"the repository {place.top} has no commit yet"
        raise refuse("empty_repository", message, path=place.top, hint="make a first commit")
    branch = await current_branch(git, at=place.top)
    shallow = await git.run("rev-parse", "--is-shallow-repository", at=place.top)
    return RepositoryFacts(
        path=place.top,
        git_dir=place.common_dir,
        branch=branch,
        default_branch=await _default_branch(git, at=place.top, current=branch),
        head=head,
        is_dirty=not (await read_status(git, at=place.top)).is_clean,
        is_shallow=shallow.line == "true",
    )


async def _default_branch(git: GitProcess, *, at: str, current: str | None) -> str | None:
    """What origin calls its default if there is such a branch here, else the current one, else a usual name."""
    origin = await git.run("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD", at=at, accept=(0, 1))
    named = origin.line.removeprefix("refs/remotes/origin/") if origin.code == 0 else None
    for candidate in (named, current, "main", "master"):
        if candidate and await find_ref(git, f"refs/heads/{candidate}", at=at):
            return candidate
    return None
