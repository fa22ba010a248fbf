"""Carries uncommitted work into another worktree of the same repository.

The work is read as a tree, as a salvage reads it, so that the source, its index and its locks stay as they
are. In the target it lies uncommitted: what was new is untracked there, what was staged is only changed.
Doing it again gives the same, as long as nobody works in the target.
"""

from moduprompt.effects.git.place import Place, find_worktree, real_path
from moduprompt.effects.git.process import GitProcess, refuse
from moduprompt.effects.git.reading import find_ref
from moduprompt.effects.git.salvage import tree_of_working_tree


async def carry_work(git: GitProcess, *, source: str, target: str, place: Place) -> None:
    """`place` is the repository's. Refuses a source that is gone, or belongs to another repository."""
    found = await find_worktree(git, source)
    if real_path(found.common_dir) != real_path(place.common_dir):
        message = f"{source} is a worktree of another repository than {place.top}"
        raise refuse("worktree_conflict", message, path=source, hint="fork without the uncommitted work")
    tree = await tree_of_working_tree(git, place=found)
    if tree == await find_ref(git, "HEAD^{tree}", at=target):
        return
    await git.run("restore", f"--source={tree}", "--worktree", "--", ":/", at=target)
