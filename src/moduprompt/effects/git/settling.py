"""Brings a worktree and the branch it shares with others to the same commit, by moving the one that is behind.

    the worktree is behind → fast-forward there: git refuses when local changes overlap
    the branch is behind   → moved forwards, with its files where it is checked out (advancing.py)
    each has what the other has not → refused with what a person or an agent can do

Nothing is merged, forced or thrown away. Done again it looks again: after a kill between any two steps it goes on
from what it finds.
"""

from moduprompt.effects.git.advancing import BranchMoved, Step, advance_branch, fast_forward
from moduprompt.effects.git.place import Place, find_worktree, real_path
from moduprompt.effects.git.port import SettleFacts, SettleSpec
from moduprompt.effects.git.process import GitProcess, refuse
from moduprompt.effects.git.reading import current_branch, find_ref, holds

ATTEMPTS_MAX = 8  # each lost race means that a merge was won or somebody committed; eight in a row is a storm


async def settle_worktree(git: GitProcess, spec: SettleSpec, *, place: Place) -> SettleFacts:
    """The caller holds the locks of the repository and of the worktree."""
    await _require_ours(git, spec, place=place)
    for _ in range(ATTEMPTS_MAX):
        tip = await find_ref(git, f"refs/heads/{spec.branch}", at=place.top)
        head = await find_ref(git, "HEAD^{commit}", at=spec.path)
        if tip is None or head is None:
            message = f"{place.top} has no branch {spec.branch!r} any more"
            raise refuse("ref_missing", message, path=place.top, hint=f"git -C {place.top} branch --all")
        if head == tip:
            return SettleFacts(head=head)
        try:
            await _move(git, spec, head=head, tip=tip, place=place)
        except BranchMoved:
            continue
    message = f"{spec.branch} moved on {ATTEMPTS_MAX} times while {spec.path} was being settled with it"
    raise refuse("git_failed", message, path=place.top, hint="try again")


async def _require_ours(git: GitProcess, spec: SettleSpec, *, place: Place) -> None:
    found = await find_worktree(git, spec.path)
    if real_path(found.common_dir) != real_path(place.common_dir):
        message = f"{spec.path} is a worktree of another repository than {place.top}"
        raise refuse("worktree_conflict", message, path=spec.path)
    elsewhere = await current_branch(git, at=spec.path)
    if elsewhere is not None:
        message = f"{spec.path} was put on the branch {elsewhere}, so that {spec.branch} is left as it is"
        hint = f"git -C {spec.path} switch --detach"
        raise refuse("worktree_conflict", message, path=spec.path, hint=hint)


async def _move(git: GitProcess, spec: SettleSpec, *, head: str, tip: str, place: Place) -> None:
    if await holds(git, tip, earlier=head, at=place.top):
        await _bring_along(git, spec, head=head, tip=tip)
    elif await holds(git, head, earlier=tip, at=place.top):
        step = Step(branch=spec.branch, before=tip, commit=head, reason=f"work of {spec.path}")
        await advance_branch(git, step, place=place)
    else:
        message = f"{spec.branch} and {spec.path} each have commits that the other has not"
        hint = f"git -C {spec.path} merge {spec.branch}"
        raise refuse("branch_diverged", message, path=spec.path, hint=hint)


async def _bring_along(git: GitProcess, spec: SettleSpec, *, head: str, tip: str) -> None:
    files = await fast_forward(git, before=head, commit=tip, at=spec.path)
    if files is None:
        return
    text = f"{spec.path} is behind {spec.branch}, with local changes that this would touch"
    message = f"{text}: {', '.join(files)}" if files else text
    hint = f"commit the changes in {spec.path}, then git -C {spec.path} merge {spec.branch}"
    raise refuse("dirty_repository", message, path=spec.path, hint=hint, files=files)
