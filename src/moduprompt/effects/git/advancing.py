"""Moves a branch forwards to a commit that holds it, only if it still is where the mover has seen it.

    checked out → fast-forward there: git refuses when local changes overlap
    otherwise   → update-ref with the expected old value

Either is one step of git: a kill leaves the branch where it was or where it shall be.
"""

import os

import msgspec

from moduprompt.effects.git.parse import StatusReport, WorktreeEntry, names, shown_files
from moduprompt.effects.git.place import Place, exists, find_place
from moduprompt.effects.git.process import GitProcess, Refused, refusal_of, refuse
from moduprompt.effects.git.reading import current_branch, find_ref, list_worktrees, read_status
from moduprompt.effects.git.salvage import tree_of_working_tree

# Ignored files are somebody's too, a key or a database. What a person has set for merges into this branch stays out.
FORWARDS = ("merge", "--ff-only", "--quiet", "--no-overwrite-ignore", "--no-squash", "--commit")
SAME_MAX = 1_000  # names in one command line; so many files in the way are no accident of a moment


class BranchMoved(Exception):  # a reason to look again, not a fault
    """The branch is no longer where it was seen."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """`branch` goes from `before` to `commit`; `again`: what to do when local changes are out of the way."""

    branch: str
    before: str
    commit: str
    reason: str
    again: str = ""

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"


async def advance_branch(git: GitProcess, step: Step, *, place: Place) -> None:
    """The caller holds the repository's lock. Raises BranchMoved where somebody else was faster."""
    entries = await list_worktrees(git, at=place.top)
    holders = [entry for entry in entries if entry.branch == step.branch and not entry.is_prunable]
    if len(holders) > 1:
        where = ", ".join(entry.path for entry in holders)
        message = f"{step.branch} is checked out in several worktrees, which would fall behind: {where}"
        raise refuse("branch_checked_out", message, path=place.top, hint="remove all but one of them")
    if holders:
        await _advance_checkout(git, step, holder=holders[0])
        return
    moved = await git.run(
        "update-ref", "-m", f"moduprompt: {step.reason}", step.ref, step.commit, step.before,
        at=place.top, accept=(0, 1, 128),
    )  # fmt: skip
    if moved.code == 0:
        return
    if await find_ref(git, step.ref, at=place.top) == step.before:
        raise Refused(refusal_of(moved, path=place.top))
    raise BranchMoved


async def _advance_checkout(git: GitProcess, step: Step, *, holder: WorktreeEntry) -> None:
    # The last look before the fast-forward: it moves whatever branch is checked out.
    if await current_branch(git, at=holder.path) != step.branch:
        raise BranchMoved
    files = await fast_forward(git, before=step.before, commit=step.commit, at=holder.path)
    if files is None:
        return
    text = (
        f"{step.branch} is checked out at {holder.path} with local changes that the {step.reason} would touch"
    )
    message = f"{text}: {', '.join(files)}" if files else text
    hint = f"commit or put away the changes in {holder.path}{step.again and f', then {step.again}'}"
    raise refuse("dirty_repository", message, path=holder.path, hint=hint, files=files)


async def fast_forward(git: GitProcess, *, before: str, commit: str, at: str) -> tuple[str, ...] | None:
    """What is checked out goes from one commit to a later one; else the names of what is in the way, for display.

    What lies uncommitted in the way but is the very same in the later commit is nobody's loss: a fast-forward that
    was killed between its files leaves that, and so does work that was taken along and committed elsewhere.
    """
    done = await git.run(*FORWARDS, commit, at=at, accept=(0, 1, 2, 128))
    if done.code == 0:
        return None
    if await find_ref(git, "HEAD^{commit}", at=at) != before:
        raise BranchMoved
    report = await read_status(git, at=at, every_file=True)
    files = await _in_the_way(git, report, before=before, commit=commit, at=at)
    if await _is_the_same(git, report, files=files, commit=commit, at=at):
        await git.run("add", "--all", "--force", "--", *_literally(files), at=at)
        done = await git.run(*FORWARDS, commit, at=at, accept=(0, 1, 2, 128))
        if done.code == 0:
            return None
    if not files and report.is_clean:
        raise Refused(refusal_of(done, path=at))
    return shown_files(files)


async def _in_the_way(
    git: GitProcess, report: StatusReport, *, before: str, commit: str, at: str
) -> tuple[bytes, ...]:
    compare = ("diff-tree", "-r", "-z", "--no-renames", "--name-only")
    changed = await git.run(*compare, before, commit, at=at)
    added = await git.run(*compare, "--diff-filter=A", before, commit, at=at)
    local = {*report.staged, *report.unstaged, *report.untracked, *report.conflicted}
    unseen = {name for name in names(added.stdout) if exists(at, os.fsdecode(name))}  # as no status tells
    return tuple(sorted(local.intersection(names(changed.stdout)) | unseen))


async def _is_the_same(
    git: GitProcess, report: StatusReport, *, files: tuple[bytes, ...], commit: str, at: str
) -> bool:
    if not files or len(files) > SAME_MAX or report.conflicted:
        return False
    if set(report.staged).intersection(report.unstaged, files):
        return False  # what is staged would be lost
    there = tuple(name for name in files if exists(at, os.fsdecode(name)))
    tree = await tree_of_working_tree(git, place=await find_place(git, at), also=_literally(there))
    same = await git.run("diff", "--quiet", tree, commit, "--", *_literally(files), at=at, accept=(0, 1))
    return same.code == 0


def _literally(files: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(f":(literal){os.fsdecode(name)}" for name in files)
