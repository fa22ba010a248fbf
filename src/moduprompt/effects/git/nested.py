"""Repositories inside a worktree: submodules, and clones that somebody made there.

Git neither commits nor stashes what is inside them, and removing a worktree takes them
along. So commits leave them out and say so, and a removal is refused while one of
them holds work that exists nowhere else.
"""

import os

from moduprompt.effects.git.place import exists, real_path
from moduprompt.effects.git.process import GitProcess, Refused
from moduprompt.effects.git.reading import find_ref, read_status, submodules_of

PUSHED = ("--not", "--remotes")


async def untracked_repositories(git: GitProcess, *, top: str) -> tuple[bytes, ...]:
    """Untracked folders that are repositories of their own: git lists the files of all others."""
    report = await read_status(git, at=top, every_file=True)
    return tuple(path for path in report.untracked if path.endswith(b"/"))


def without(repositories: tuple[bytes, ...]) -> tuple[str, ...]:
    """Pathspecs for everything but these folders."""
    excluded = (os.fsdecode(path.rstrip(b"/")) for path in repositories)
    return (":/", *(f":(top,exclude,literal){path}" for path in excluded))


async def repositories_with_unsaved_work(git: GitProcess, *, top: str) -> tuple[bytes, ...]:
    inside = (*await untracked_repositories(git, top=top), *await submodules_of(git, at=top))
    paths = ((path, real_path(top, os.fsdecode(path))) for path in inside)
    present = [(path, full) for path, full in paths if exists(full, ".git")]
    return tuple([path for path, full in present if await _holds_unsaved_work(git, at=full)])


async def _holds_unsaved_work(git: GitProcess, *, at: str) -> bool:
    """Uncommitted changes, or commits that no remote is known to have. What can't be read counts as unsaved."""
    try:
        if not (await read_status(git, at=at)).is_clean:
            return True
        if await find_ref(git, "HEAD", at=at) is None:
            return False
        unpushed = await git.run("rev-list", "--max-count=1", "HEAD", "--all", *PUSHED, at=at)
        return unpushed.stdout != b""
    except Refused:
        return True
