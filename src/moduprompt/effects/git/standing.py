"""Whether a worktree's branch has what stands in the worktree: an agent may have gone to a branch of its own there, or to none.

    stands on its branch          → nothing to do
    elsewhere, on from the branch → what is committed there becomes the branch's, which moves forwards
    elsewhere, apart from it      → refused: nobody here decides which of the two is meant

People look at a worktree's branch, and that is what is merged: work beside it would be called merged and be nowhere.
"""

from typing import Final

from moduprompt.effects.git.advancing import BranchMoved, Step, advance_branch
from moduprompt.effects.git.place import Place, find_worktree
from moduprompt.effects.git.port import Home, RefusalReason
from moduprompt.effects.git.process import GitProcess, Refused, refuse
from moduprompt.effects.git.reading import current_branch, find_ref, holds

NONE_ANY_MORE: Final[frozenset[RefusalReason]] = frozenset(
    {"path_missing", "not_a_repository", "bare_repository", "worktree_conflict"}
)  # what is said of a folder that is no worktree any more


async def require_onward(git: GitProcess, home: Home, *, has_work: bool) -> None:
    """Refuses where what is committed there, or with `has_work` would be, does not go on from the branch."""
    head = await find_ref(git, "HEAD^{commit}", at=home.path)
    if head is None:
        raise _elsewhere(home, "without a commit", await current_branch(git, at=home.path))
    tip = await _tip(git, home)
    if await holds(git, head, earlier=tip, at=home.path):
        return
    if has_work or not await holds(git, tip, earlier=head, at=home.path):
        what = f"which has not what {home.branch} has"
        raise _elsewhere(home, what, await current_branch(git, at=home.path))


async def bring_branch(git: GitProcess, home: Home, *, place: Place) -> None:
    """The branch follows what was committed beside it. The caller holds the repository's lock."""
    tip, head = await _tip(git, home), await find_ref(git, "HEAD^{commit}", at=home.path)
    if head is None or await holds(git, tip, earlier=head, at=home.path):
        return
    await require_onward(git, home, has_work=False)
    step = Step(branch=home.branch, before=tip, commit=head, reason=f"work of {home.path}")
    try:
        await advance_branch(git, step, place=place)
    except BranchMoved as moved:
        message = f"{home.branch} moved on while the work of {home.path} was brought to it"
        raise refuse("git_failed", message, path=home.path, hint="try again") from moved


async def require_nothing_beside(git: GitProcess, home: Home) -> None:
    """Refuses where the worktree stands elsewhere with commits that its branch has not.

    Of one that is no worktree any more nobody says anything: the branch has what it has.
    """
    try:
        await find_worktree(git, home.path)
    except Refused as refused:
        if refused.refusal.reason in NONE_ANY_MORE:
            return
        raise
    current = await current_branch(git, at=home.path)
    tip = await find_ref(git, f"refs/heads/{home.branch}", at=home.path)
    head = await find_ref(git, "HEAD^{commit}", at=home.path)
    if current == home.branch or tip is None or head is None:
        return
    if not await holds(git, tip, earlier=head, at=home.path):
        what = f"with commits that {home.branch} has not; committing the worktree brings them there"
        raise _elsewhere(home, what, current)


async def _tip(git: GitProcess, home: Home) -> str:
    tip = await find_ref(git, f"refs/heads/{home.branch}", at=home.path)
    if tip is None:
        message = f"there is no branch {home.branch!r} any more, to which {home.path} belongs"
        raise refuse("ref_missing", message, path=home.path, hint=f"git -C {home.path} branch {home.branch}")
    return tip


def _elsewhere(home: Home, what: str, current: str | None) -> Refused:
    where = "no branch" if current is None else f"the branch {current}"
    hint = f"git -C {home.path} switch {home.branch}, then merge there what is meant"
    return refuse("worktree_conflict", f"{home.path} stands on {where}, {what}", path=home.path, hint=hint)
