"""Copies a repository so that the copy appears whole or not at all.

The clone is made beside its place under a hidden name and renamed. No object file is
shared with a local source (git would hard-link them): whatever an agent does to
the copy, the source stays as it is.
"""

import asyncio
import shutil
from pathlib import Path

from moduprompt.effects.git.place import is_folder, require_folder, require_utf8
from moduprompt.effects.git.port import RepositoryFacts
from moduprompt.effects.git.process import GitProcess, Refused, refuse
from moduprompt.effects.git.reading import repository_facts


async def clone_repository(git: GitProcess, *, source: str, into: str) -> RepositoryFacts:
    """Answers the facts of the copy. A copy of the same source that is there already is the copy."""
    require_utf8(into)
    if not _is_address(source):
        source = await _local_repository(git, source)
    target = Path(into)
    if await asyncio.to_thread(_is_taken, target):
        return await _same_clone(git, source=source, into=into)
    part = target.with_name(f".{target.name}.part")
    await asyncio.to_thread(_make_room, part)
    try:
        await git.run("clone", "--quiet", "--no-hardlinks", "--", source, str(part), at=part.parent)
        await repository_facts(git, str(part))  # an empty source is refused before anything shows
        await asyncio.to_thread(part.rename, target)
    except OSError as broken:
        message = f"the clone can't be put at {into}: {broken.strerror}"
        raise refuse("git_failed", message, path=into) from broken
    finally:
        await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
    return await repository_facts(git, into)


def _is_address(source: str) -> bool:
    """Whether git would go to another machine for it: a URL, or host:path."""
    return "://" in source or (":" in source.partition("/")[0])


async def _local_repository(git: GitProcess, source: str) -> str:
    """The top of the repository that a path lies in: git itself clones from nowhere below it."""
    require_folder(source)
    bare = await git.run("rev-parse", "--is-bare-repository", at=source)
    top = "--absolute-git-dir" if bare.line == "true" else "--show-toplevel"
    found = await git.run("rev-parse", top, at=source)
    return found.line


def _is_taken(target: Path) -> bool:
    return target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir())))


def _make_room(part: Path) -> None:
    shutil.rmtree(part, ignore_errors=True)  # what a killed clone left
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except OSError as broken:
        message = f"the folder {part.parent} can't be made: {broken.strerror}"
        raise refuse("git_failed", message, path=str(part.parent)) from broken


async def _same_clone(git: GitProcess, *, source: str, into: str) -> RepositoryFacts:
    other = refuse("worktree_conflict", f"{into} exists and is no clone of {source}", path=into)
    if not is_folder(into):
        raise other
    try:
        facts = await repository_facts(git, into)
        origin = await git.run("config", "--get", "remote.origin.url", at=into, accept=(0, 1))
    except Refused as broken:
        raise other from broken
    same_place = Path(facts.path) == await asyncio.to_thread(Path(into).resolve)
    if not same_place or not await asyncio.to_thread(_same_source, origin.line, source):
        raise other
    return facts


def _same_source(origin: str, source: str) -> bool:
    """Git writes a local source down as an absolute path."""
    return origin == source or (not _is_address(source) and Path(origin).resolve() == Path(source).resolve())
