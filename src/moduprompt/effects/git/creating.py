"""Makes a worktree: first the branch, atomically, then the folder.

The branch is created with a mark in its reflog that names the folder it is for. A
daemon that was killed in between finds the mark and goes on; a branch without it is
somebody else's and is refused. A folder that git never finished filling is known by the
lock "initializing", which git itself puts on it, and is made again. Work that comes along is
carried each time: nobody works in a worktree before its making is reported.
"""

import asyncio
import hashlib
import os
from pathlib import Path

from moduprompt.effects.git.carrying import carry_work
from moduprompt.effects.git.parse import WorktreeEntry
from moduprompt.effects.git.place import Place, exists, own_path, require_utf8
from moduprompt.effects.git.port import WorktreeFacts, WorktreeSpec
from moduprompt.effects.git.process import GitProcess, Refused, refuse
from moduprompt.effects.git.reading import find_ref, list_worktrees, require_commit
from moduprompt.effects.git.scratch import discard_worktree

UNFINISHED = "initializing"  # git's own lock reason while `worktree add` runs


async def create_worktree(git: GitProcess, spec: WorktreeSpec, *, place: Place) -> WorktreeFacts:
    """The caller holds the repository's lock."""
    made = await _make(git, spec, place=place)
    if spec.work_of is not None:
        await carry_work(git, source=spec.work_of, target=made.path, place=place)
    return made


async def _make(git: GitProcess, spec: WorktreeSpec, *, place: Place) -> WorktreeFacts:
    require_utf8(spec.path)
    await require_branch_name(git, spec.branch, at=place.top)
    path = own_path(spec.path)
    entries = await list_worktrees(git, at=place.top)
    here = find_entry(entries, path=path)
    if here is not None and not await _is_leftover(git, here, spec=spec, place=place):
        return await _facts(git, path=path, branch=spec.branch)
    await asyncio.to_thread(_require_free, path)
    others = tuple(entry for entry in entries if entry is not here)
    made = None
    if here is None or here.branch != spec.branch:  # else the leftover was on it: it is ours already
        made = await _prepare_branch(git, spec, place=place, path=path, others=others)
    shared = ("--detach", "--", path, f"refs/heads/{spec.branch}")
    words = shared if spec.mode == "shared_branch" else ("--", path, spec.branch)
    try:
        await git.run("worktree", "add", "--quiet", *words, at=place.top)
    except Refused:
        if made is not None:
            await git.run(
                "update-ref", "-d", f"refs/heads/{spec.branch}", made, at=place.top, accept=(0, 1, 128)
            )
        raise
    return await _facts(git, path=path, branch=spec.branch)


def find_entry(entries: tuple[WorktreeEntry, ...], *, path: str) -> WorktreeEntry | None:
    return next((entry for entry in entries if own_path(entry.path) == path), None)


async def require_branch_name(git: GitProcess, branch: str, *, at: str) -> None:
    valid = not branch.startswith("-") and "\0" not in branch
    if valid:
        checked = await git.run("check-ref-format", f"refs/heads/{branch}", at=at, accept=(0, 1))
        valid = checked.code == 0
    if not valid or branch == "HEAD":
        message = f"{branch!r} is not a name that git allows for a branch"
        raise refuse("git_failed", message, path=at, hint="see: git help check-ref-format")


async def _is_leftover(git: GitProcess, here: WorktreeEntry, *, spec: WorktreeSpec, place: Place) -> bool:
    """Judge what is registered at the path: the wish fulfilled, a leftover (now gone), or a conflict."""
    missing = not exists(here.path, ".git")
    if here.locked == UNFINISHED:
        await discard_worktree(git, here.path, at=place.top)
        return True
    if here.branch != (None if spec.mode == "shared_branch" else spec.branch):
        message = f"{here.path} is a worktree of {here.branch or 'a detached head'}, not of {spec.branch}"
        raise refuse("worktree_conflict", message, path=here.path, hint="choose another path")
    if missing and here.locked is None and not exists(here.path):
        await git.run("worktree", "remove", "--force", "--", here.path, at=place.top)
        return True
    if missing:
        message = f"{here.path} is registered as a worktree, but its files are gone"
        raise refuse("worktree_conflict", message, path=here.path, hint=f"git -C {place.top} worktree repair")
    return False


def _require_free(path: str) -> None:
    target = Path(path)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise refuse("worktree_conflict", f"{path} exists and is no folder", path=path)
    try:
        is_free = not target.exists() or not any(target.iterdir())
    except OSError as broken:
        raise refuse("git_failed", f"{path}: {broken.strerror}", path=path) from broken
    if not is_free:
        message = f"{path} exists, is not empty, and is no worktree of this repository"
        raise refuse("worktree_conflict", message, path=path, hint="choose another path or move it away")


async def _prepare_branch(
    git: GitProcess, spec: WorktreeSpec, *, place: Place, path: str, others: tuple[WorktreeEntry, ...]
) -> str | None:
    """The commit of a branch that this call has made; None when the branch was there."""
    ref = f"refs/heads/{spec.branch}"
    holder = next((entry for entry in others if entry.branch == spec.branch), None)
    if spec.mode != "new_branch":
        if await find_ref(git, ref, at=place.top) is None:
            message = f"{place.top} has no branch {spec.branch!r}"
            raise refuse("ref_missing", message, path=place.top, hint=f"git -C {place.top} branch --all")
        if holder is not None and spec.mode == "existing_branch":
            raise _checked_out(spec.branch, holder=holder)
        return None
    base = await require_commit(git, spec.base, at=place.top)
    mark = f"moduprompt: for worktree {hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"
    absent = "0" * len(base)  # to git: the reference must not exist yet
    made = await git.run(
        "update-ref", "--create-reflog", "-m", mark, ref, base, absent, at=place.top, accept=(0, 1, 128)
    )
    if made.code == 0:
        return base
    if holder is None and await _is_ours(git, ref=ref, mark=mark, at=place.top):
        return None
    if await find_ref(git, ref, at=place.top) or b"cannot create" in made.stderr:
        message = f"the branch {spec.branch} exists in {place.top}, or one that stands in its way"
        raise refuse("branch_exists", message, path=place.top, hint="choose another branch name")
    raise refuse("git_failed", f"the branch {spec.branch} can't be made in {place.top}", path=place.top)


async def _is_ours(git: GitProcess, *, ref: str, mark: str, at: str) -> bool:
    """Whether the newest thing that happened to the branch is that we made it for this very folder."""
    newest = await git.run("log", "--walk-reflogs", "-1", "--format=%gs", ref, "--", at=at, accept=(0, 128))
    return newest.code == 0 and newest.line == mark


def _checked_out(branch: str, *, holder: WorktreeEntry) -> Refused:
    gone = " (its folder is gone)" if holder.is_prunable else ""
    hint = "git worktree prune" if holder.is_prunable else "work there, or choose another branch"
    message = f"the branch {branch} is checked out at {holder.path}{gone}"
    return refuse("branch_checked_out", message, path=holder.path, hint=hint)


async def _facts(git: GitProcess, *, path: str, branch: str) -> WorktreeFacts:
    head = await git.run("rev-parse", "--verify", "HEAD^{commit}", at=path)
    return WorktreeFacts(path=path, branch=branch, head=head.line)
