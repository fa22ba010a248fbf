"""Where a repository lies, and the checks of paths that come before any git.

A look at the file system is a few microseconds where a git process is milliseconds, so these
looks are made directly.
"""

import os
import stat

import msgspec

from moduprompt.effects.git.parse import shown
from moduprompt.effects.git.process import GitProcess, refuse


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a working tree lies: its top, its own git folder, and the one all worktrees share."""

    top: str
    git_dir: str
    common_dir: str


async def find_place(git: GitProcess, path: str) -> Place:
    """The working tree that `path` lies in. Refuses what is missing, is no repository, or is bare."""
    require_folder(path)
    bare = await git.run("rev-parse", "--is-bare-repository", at=path)
    if bare.line == "true":
        message = f"{path} is a bare repository: it has no working tree"
        raise refuse("bare_repository", message, path=path, hint="clone it and give the clone's path")
    # One call each: a path may hold a newline.
    top = await git.run("rev-parse", "--show-toplevel", at=path)
    git_dir = await git.run("rev-parse", "--absolute-git-dir", at=path)
    common_dir = await git.run("rev-parse", "--git-common-dir", at=path)
    common = real_path(path, common_dir.line)
    for found in (top.line, common):
        require_utf8(found)
    return Place(top=top.line, git_dir=git_dir.line, common_dir=common)


async def find_worktree(git: GitProcess, path: str) -> Place:
    """The working tree whose top this very folder is. Refuses one that `path` only leads to or lies in.

    A worktree may have lost its link, or be another folder by now: git would look further up, in a home that is a
    repository too, and what it does there would happen to somebody else's files.
    """
    require_own_folder(path)
    place = await find_place(git, path)
    if place.top != real_path(path):
        message = f"{path} is no worktree any more: git finds {place.top} from there"
        raise refuse("worktree_conflict", message, path=path, hint="git worktree repair, in its repository")
    return place


def require_own_folder(path: str) -> None:
    """Refuses a link in a worktree's place: it leads to files that are not its own."""
    if os.path.islink(path):
        message = f"{path} is a link to {real_path(path)}, not the folder that was made there"
        raise refuse("worktree_conflict", message, path=path, hint=f"remove the link: rm {path}")


def require_folder(path: str) -> None:
    require_utf8(path)
    try:
        found = os.stat(path)  # one look, its error says which case it is
    except (OSError, ValueError) as broken:
        raise refuse("path_missing", f"there is no {path!r}", path=path, hint="check the path") from broken
    if not stat.S_ISDIR(found.st_mode):
        hint = "give the folder of a git repository"
        raise refuse("not_a_repository", f"{path} is a file, not a folder", path=path, hint=hint)


def require_utf8(path: str) -> None:
    """Events are UTF-8: a path that isn't can't be written down, so it can't be worked in."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as broken:
        readable = shown(os.fsencode(path))
        message = f"the path {readable} is not valid UTF-8"
        raise refuse("git_failed", message, path=readable, hint="rename the folder") from broken


def real_path(*parts: str) -> str:
    """The absolute path with links resolved: how git and we name a folder."""
    return os.path.realpath(os.path.join(*parts))  # parts may be absolute


def own_path(path: str) -> str:
    """The absolute path with the links before its last name resolved: what lies there, be it a link itself."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(real_path(folder), name)


def exists(*parts: str) -> bool:
    """Whether anything has this name, a broken link included."""
    return os.path.lexists(os.path.join(*parts))


def is_folder(path: str) -> bool:
    return os.path.isdir(path)
