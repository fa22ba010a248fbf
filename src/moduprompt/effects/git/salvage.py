"""Saves what a worktree holds and nothing else does, under `refs/mp/salvage/<worktree_id>`.

What is saved, as one commit that `git log`, `git show` and `git checkout` can read:

    tree      the working tree as it is: changed, added, deleted and untracked files
              (ignored ones not), also those that git was told not to look at
              or that lie outside of a sparse checkout,
              unresolved conflicts with their marks
    parent 1  the head
    parent 2… the index, where it differs from both; the other side of an unfinished merge
              or pick; what `rebase --autostash` had put away; an earlier salvage of this worktree

A clean worktree whose head no other branch, remote branch or tag contains gets a reference
to its head. The worktree, its index and its locks are not touched. Saving twice
saves the same commit; nothing that was saved is ever replaced.
"""

import asyncio
import os
import shutil
from pathlib import Path

import msgspec

from moduprompt.effects.git.identity import FALLBACK_EMAIL, FALLBACK_NAME
from moduprompt.effects.git.nested import untracked_repositories, without
from moduprompt.effects.git.place import Place
from moduprompt.effects.git.port import SALVAGE_PREFIX
from moduprompt.effects.git.process import GitProcess, refuse
from moduprompt.effects.git.reading import WHOLE, current_branch, find_ref, hidden_files, read_status

NAMES_MAX = 1_000  # in one command line
UNCOVERED = (("--no-assume-unchanged",), ("--no-skip-worktree",), ())  # the last one looks at the files
UNFINISHED_HEADS = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD")
AUTOSTASH_FILES = ("rebase-merge/autostash", "rebase-apply/autostash", "MERGE_AUTOSTASH")

IDENTITY = {
    "GIT_AUTHOR_NAME": FALLBACK_NAME,
    "GIT_AUTHOR_EMAIL": FALLBACK_EMAIL,
    "GIT_COMMITTER_NAME": FALLBACK_NAME,
    "GIT_COMMITTER_EMAIL": FALLBACK_EMAIL,
}


class Salvage(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    commit: str


async def salvage_worktree(git: GitProcess, *, place: Place, worktree_id: str) -> Salvage | None:
    """What is saved for this worktree after the call; None when there was never anything to save."""
    ref = f"{SALVAGE_PREFIX}{worktree_id}"
    earlier = await find_ref(git, ref, at=place.top)
    head = await find_ref(git, "HEAD^{commit}", at=place.top)
    report = await read_status(git, at=place.top)
    branch = await current_branch(git, at=place.top)
    extra = await _unfinished(git, place=place)
    hidden = await hidden_files(git, at=place.top)
    has_work = not report.is_clean or bool(extra)
    if not has_work and not hidden:
        return await save_head(git, head=head, branch=branch, worktree_id=worktree_id, at=place.top)
    tree = await tree_of_working_tree(git, place=place, hidden=hidden)
    if not has_work and tree == await find_ref(git, "HEAD^{tree}", at=place.top):
        return await save_head(git, head=head, branch=branch, worktree_id=worktree_id, at=place.top)
    index = await _index_commit(git, place=place, head=head, tree=tree)
    parents = _distinct(head, index, *extra)
    if earlier is not None and await _holds(git, earlier, tree=tree, parents=parents, at=place.top):
        return Salvage(ref=ref, commit=earlier)
    message = f"Salvage of worktree {worktree_id} on {branch or 'a detached head'}"
    commit = await _commit_tree(
        git, tree=tree, parents=_distinct(*parents, earlier), message=message, at=place.top
    )
    return await _write(git, ref=ref, commit=commit, earlier=earlier, at=place.top)


async def save_head(
    git: GitProcess, *, head: str | None, branch: str | None, worktree_id: str, at: str
) -> Salvage | None:
    """Keep a head that only its own branch, or none, leads to."""
    ref = f"{SALVAGE_PREFIX}{worktree_id}"
    earlier = await find_ref(git, ref, at=at)
    if head is None or await _is_contained(git, head, own=branch, at=at):
        return Salvage(ref=ref, commit=earlier) if earlier else None
    if earlier is not None:
        known = await git.run("merge-base", "--is-ancestor", head, earlier, at=at, accept=(0, 1))
        if known.code == 0:
            return Salvage(ref=ref, commit=earlier)
        tree = await git.run("rev-parse", "--verify", f"{head}^{{tree}}", at=at)
        message = f"Salvage of worktree {worktree_id}: a later head beside an earlier salvage"
        head = await _commit_tree(git, tree=tree.line, parents=(head, earlier), message=message, at=at)
    return await _write(git, ref=ref, commit=head, earlier=earlier, at=at)


async def _is_contained(git: GitProcess, head: str, *, own: str | None, at: str) -> bool:
    """Whether another branch, a remote branch or a tag leads to the head."""
    # One more than our own is all that needs to be known.
    listed = await git.run(
        "for-each-ref", "--count=2", f"--contains={head}", "--format=%(refname)",
        "refs/heads", "refs/remotes", "refs/tags", at=at,
    )  # fmt: skip
    found = set(listed.stdout.decode("utf-8", "surrogateescape").splitlines())
    return bool(found - {f"refs/heads/{own}"})


async def _unfinished(git: GitProcess, *, place: Place) -> tuple[str, ...]:
    """Commits that only the state of an unfinished command leads to."""
    heads = [await find_ref(git, name, at=place.top) for name in UNFINISHED_HEADS]
    stashes = [_first_line(Path(place.git_dir, name)) for name in AUTOSTASH_FILES]
    stashed = [await find_ref(git, f"{stash}^{{commit}}", at=place.top) for stash in stashes if stash]
    return _distinct(*heads, *stashed)


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip() or None
    except OSError:
        return None


async def tree_of_working_tree(
    git: GitProcess, *, place: Place, also: tuple[str, ...] = (), hidden: tuple[bytes, ...] = ()
) -> str:
    """Everything that lies there as a tree, of ignored files those that `also` names, of `hidden_files` those given.

    Add everything to a copy of the index: the copy keeps git's knowledge of unchanged files, and no lock is met.
    """
    index = Path(place.git_dir, "index")
    copy = Path(place.git_dir, "moduprompt-salvage-index")
    repositories = await untracked_repositories(git, top=place.top)
    extra = {"GIT_INDEX_FILE": str(copy)}
    try:
        await asyncio.to_thread(_copy_index, index, copy)
        await git.run(*WHOLE, "add", "--all", "--", *without(repositories), at=place.top, extra=extra)
        left = await _still_files(git, hidden, place=place, extra=extra)
        for start in range(0, len(left), NAMES_MAX):
            some = tuple(os.fsdecode(name) for name in left[start : start + NAMES_MAX])
            for how in UNCOVERED:  # one after the other: together git heeds the first alone
                await git.run(*WHOLE, "update-index", *how, "--", *some, at=place.top, extra=extra)
        if also:
            await git.run(*WHOLE, "add", "--force", "--", *also, at=place.top, extra=extra)
        tree = await git.run("write-tree", at=place.top, extra=extra)
    except OSError as broken:
        message = f"the work in {place.top} can't be saved: {broken.strerror}"
        raise refuse("git_failed", message, path=place.top, hint="make room, then try again") from broken
    finally:
        for leftover in (copy, copy.with_name(f"{copy.name}.lock")):
            leftover.unlink(missing_ok=True)
    return tree.line


async def _still_files(
    git: GitProcess, hidden: tuple[bytes, ...], *, place: Place, extra: dict[str, str]
) -> tuple[bytes, ...]:
    """Of hidden files those that no folder or link has taken the place of: what lies there now was added already."""
    if not hidden:
        return ()
    known = set(await hidden_files(git, at=place.top, extra=extra))
    return tuple(name for name in hidden if name in known)


def _copy_index(index: Path, copy: Path) -> None:
    copy.with_name(f"{copy.name}.lock").unlink(missing_ok=True)  # of a salvage that was killed
    copy.unlink(missing_ok=True)
    if index.exists():
        shutil.copy2(index, copy)


async def _index_commit(git: GitProcess, *, place: Place, head: str | None, tree: str) -> str | None:
    """What was staged, where it is neither what is in the working tree nor what is in the head."""
    staged = await git.run("write-tree", at=place.top, accept=(0, 128))
    if staged.code != 0:
        return None  # unresolved conflicts: the stages are the merge's, and its heads are saved
    base = await find_ref(git, "HEAD^{tree}", at=place.top)
    if staged.line in {tree, base}:
        return None
    parents = _distinct(head)
    return await _commit_tree(git, tree=staged.line, parents=parents, message="Index", at=place.top)


async def _commit_tree(git: GitProcess, *, tree: str, parents: tuple[str, ...], message: str, at: str) -> str:
    named = tuple(part for parent in parents for part in ("-p", parent))
    made = await git.run("commit-tree", *named, "-m", message, tree, at=at, extra=IDENTITY)
    return made.line


async def _holds(git: GitProcess, earlier: str, *, tree: str, parents: tuple[str, ...], at: str) -> bool:
    """Whether an earlier salvage is of the very same work. The index commit carries a time, so its tree counts."""
    found = await git.run("rev-parse", f"{earlier}^{{tree}}", at=at)
    if found.line != tree:
        return False
    listed = await git.run("rev-list", "--parents", "--max-count=1", earlier, at=at)
    saved = listed.line.split()[1:]
    trees = [await find_ref(git, f"{commit}^{{tree}}", at=at) for commit in saved]
    wanted = [await find_ref(git, f"{commit}^{{tree}}", at=at) for commit in parents]
    return saved[:1] == list(parents[:1]) and trees[: len(wanted)] == wanted


async def _write(git: GitProcess, *, ref: str, commit: str, earlier: str | None, at: str) -> Salvage:
    expected = earlier or "0" * len(commit)
    await git.run("update-ref", "--create-reflog", "-m", "moduprompt: salvage", ref, commit, expected, at=at)
    return Salvage(ref=ref, commit=commit)


def _distinct(*commits: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(commit for commit in commits if commit))
