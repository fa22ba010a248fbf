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

from moduprompt.effects.git.advancing import BranchMoved, Step, advance_branch
from moduprompt.effects.git.identity import commit_identity
from moduprompt.effects.git.locks import Locks
from moduprompt.effects.git.parse import names, shown_files
from moduprompt.effects.git.place import Place
from moduprompt.effects.git.port import MergeFacts, MergeSpec
from moduprompt.effects.git.process import GitProcess, Refused, refusal_of, refuse
from moduprompt.effects.git.reading import find_ref, require_commit
from moduprompt.effects.git.scratch import scratch_worktree

ATTEMPTS_MAX = 8  # each lost race means that another merge was won; eight in a row is a storm
HISTORY_MAX = 10_000  # how many commits are looked at to find the one that brought a branch in


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
        step = Step(
            branch=spec.into, before=before, commit=commit, reason=f"merge {spec.branch}", again="merge again"
        )
        try:
            async with locks.hold(place.common_dir):
                await advance_branch(git, step, place=place)
        except BranchMoved:
            continue
        return MergeFacts(
            merge_commit=commit, tip=theirs, head_before=before, head_after=commit, already_merged=False
        )
    message = f"{spec.into} moved on {ATTEMPTS_MAX} times while {spec.branch} was being merged"
    raise refuse("git_failed", message, path=place.top, hint="try again")


async def _already_merged(git: GitProcess, merge: _Merge, *, at: str) -> MergeFacts:
    """Find the commit that brought the branch in, so that asking twice names the same merge."""
    commit = None if await _is_passed(git, merge, at=at) else await _find_merge(git, merge, at=at)
    return MergeFacts(
        merge_commit=commit,
        tip=merge.theirs,
        head_before=merge.before,
        head_after=merge.before,
        already_merged=True,
    )


async def _is_passed(git: GitProcess, merge: _Merge, *, at: str) -> bool:
    """Whether the target stood there itself: then a merge that has it as a parent brought it to somebody else."""
    options = ("--first-parent", f"--max-count={HISTORY_MAX}")
    listed = await git.run("rev-list", *options, merge.before, at=at)
    return merge.theirs in listed.stdout.decode("ascii").splitlines()


async def _find_merge(git: GitProcess, merge: _Merge, *, at: str) -> str | None:
    options = ("--merges", "--parents", f"--max-count={HISTORY_MAX}")
    listed = await git.run("rev-list", *options, f"{merge.theirs}..{merge.before}", at=at)
    lines = [line.split() for line in listed.stdout.decode("ascii").splitlines()]
    return next((line[0] for line in lines if merge.theirs in line[2:]), None)


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
            hint = f"merge {spec.into} into {spec.branch} in its worktree, resolve, commit it and merge again"
            raise refuse("merge_conflict", text, path=place.top, hint=hint, files=files)
        head = await git.run("rev-parse", "--verify", "HEAD^{commit}", at=scratch)
        return head.line
