"""Merges a branch into another without ever leaving a repository half merged.

    merge in a scratch worktree, detached at the target's head
        conflict → refuse, with the names; nothing of the repository has changed
    advance the target to the merge commit, only if it still is where the merge began
        checked out → fast-forward there: git refuses when local changes overlap
        otherwise   → update-ref with the expected old value
    the target moved meanwhile → again on its new head, at most ATTEMPTS_MAX times

The target is read at the beginning of each attempt and compared at its end, so that two merges
at once, in this daemon or beside it, end in one history with both.
"""

import msgspec

from moduprompt.effects.git.identity import commit_identity
from moduprompt.effects.git.locks import Locks
from moduprompt.effects.git.parse import WorktreeEntry, names, shown_files
from moduprompt.effects.git.place import Place
from moduprompt.effects.git.port import MergeFacts, MergeSpec
from moduprompt.effects.git.process import GitProcess, Refused, refusal_of, refuse
from moduprompt.effects.git.reading import (
    current_branch,
    find_ref,
    list_worktrees,
    read_status,
    require_commit,
)
from moduprompt.effects.git.scratch import scratch_worktree

ATTEMPTS_MAX = 8  # each lost race means that another merge was won; eight in a row is a storm
HISTORY_MAX = 10_000  # how many merge commits are looked at to find the one that brought a branch in


class _Moved(Exception):  # a reason to try again, not a fault
    """The target is no longer where this merge began."""


class _Merge(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: `theirs` goes into `ref`, which stood at `before`."""

    ref: str
    theirs: str
    before: str


async def merge_branch(git: GitProcess, spec: MergeSpec, *, place: Place, locks: Locks) -> MergeFacts:
    ref = f"refs/heads/{spec.into}"
    for _ in range(ATTEMPTS_MAX):
        theirs = await require_commit(git, spec.branch, at=place.top)
        before = await find_ref(git, ref, at=place.top)
        if before is None:
            message = f"{place.top} has no branch {spec.into!r}"
            raise refuse("ref_missing", message, path=place.top, hint=f"git -C {place.top} branch --all")
        merge = _Merge(ref=ref, theirs=theirs, before=before)
        contained = await git.run("merge-base", "--is-ancestor", theirs, before, at=place.top, accept=(0, 1))
        if contained.code == 0:
            return await _already_merged(git, merge, at=place.top)
        commit = await _merge_aside(git, spec, merge=merge, place=place, locks=locks)
        try:
            async with locks.hold(place.common_dir):
                await _advance(git, spec, merge=merge, commit=commit, place=place)
        except _Moved:
            continue
        return MergeFacts(merge_commit=commit, head_before=before, head_after=commit, already_merged=False)
    message = f"{spec.into} moved on {ATTEMPTS_MAX} times while {spec.branch} was being merged"
    raise refuse("git_failed", message, path=place.top, hint="try again")


async def _already_merged(git: GitProcess, merge: _Merge, *, at: str) -> MergeFacts:
    """Find the commit that brought the branch in, so that asking twice names the same merge."""
    options = ("--merges", "--parents", f"--max-count={HISTORY_MAX}")
    listed = await git.run("rev-list", *options, f"{merge.theirs}..{merge.before}", at=at)
    lines = [line.split() for line in listed.stdout.decode("ascii").splitlines()]
    commit = next((line[0] for line in lines if merge.theirs in line[2:]), None)
    return MergeFacts(
        merge_commit=commit, head_before=merge.before, head_after=merge.before, already_merged=True
    )


async def _merge_aside(git: GitProcess, spec: MergeSpec, *, merge: _Merge, place: Place, locks: Locks) -> str:
    identity = await commit_identity(
        git, at=place.top, author_name=spec.author_name, author_email=spec.author_email
    )
    async with scratch_worktree(git, commit=merge.before, place=place, locks=locks) as scratch:
        message = spec.message.replace("\0", "").strip() or f"Merge {spec.branch} into {spec.into}"
        options = ("--no-ff", "--quiet", "--no-verify", "--no-gpg-sign", "--no-log", "--cleanup=whitespace")
        done = await git.run(
            "merge", *options, "-m", message, merge.theirs, at=scratch, accept=(0, 1, 2, 128), extra=identity
        )
        if done.code != 0:
            conflicts = await git.run("diff", "--name-only", "--diff-filter=U", "-z", at=scratch)
            files = shown_files(names(conflicts.stdout))
            if not files:
                raise Refused(refusal_of(done, path=place.top))
            text = f"{spec.branch} and {spec.into} both changed {', '.join(files)}"
            hint = f"merge {spec.into} into {spec.branch} in its worktree, resolve, commit"
            raise refuse("merge_conflict", text, path=place.top, hint=hint, files=files)
        head = await git.run("rev-parse", "--verify", "HEAD^{commit}", at=scratch)
        return head.line


async def _advance(git: GitProcess, spec: MergeSpec, *, merge: _Merge, commit: str, place: Place) -> None:
    entries = await list_worktrees(git, at=place.top)
    holders = [entry for entry in entries if entry.branch == spec.into and not entry.is_prunable]
    if len(holders) > 1:
        where = ", ".join(entry.path for entry in holders)
        message = f"{spec.into} is checked out in several worktrees, which would fall behind: {where}"
        raise refuse("branch_checked_out", message, path=place.top, hint="remove all but one of them")
    if holders:
        await _advance_checkout(git, spec, merge=merge, commit=commit, holder=holders[0])
        return
    reason = f"moduprompt: merge {spec.branch}"
    moved = await git.run(
        "update-ref", "-m", reason, merge.ref, commit, merge.before, at=place.top, accept=(0, 1, 128)
    )
    if moved.code == 0:
        return
    if await find_ref(git, merge.ref, at=place.top) == merge.before:
        raise Refused(refusal_of(moved, path=place.top))
    raise _Moved


async def _advance_checkout(
    git: GitProcess, spec: MergeSpec, *, merge: _Merge, commit: str, holder: WorktreeEntry
) -> None:
    # The last look before the fast-forward: it moves whatever branch is checked out.
    if await current_branch(git, at=holder.path) != spec.into:
        raise _Moved
    done = await git.run("merge", "--ff-only", "--quiet", commit, at=holder.path, accept=(0, 1, 2, 128))
    if done.code == 0:
        return
    if await find_ref(git, merge.ref, at=holder.path) != merge.before:
        raise _Moved
    changed = await git.run(
        "diff-tree", "-r", "-z", "--no-renames", "--name-only", merge.before, commit, at=holder.path
    )
    report = await read_status(git, at=holder.path, every_file=True)
    local = {*report.staged, *report.unstaged, *report.untracked, *report.conflicted}
    files = shown_files(tuple(local.intersection(names(changed.stdout))))
    if not files and report.is_clean:
        raise Refused(refusal_of(done, path=holder.path))
    text = f"{spec.into} is checked out at {holder.path} with local changes that the merge would touch"
    message = f"{text}: {', '.join(files)}" if files else text
    hint = f"commit or put away the changes in {holder.path}, then merge again"
    raise refuse("dirty_repository", message, path=holder.path, hint=hint, files=files)
