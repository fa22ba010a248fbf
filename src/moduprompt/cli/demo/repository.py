"""The repository a demo works on: checked, cloned, and looked at. The one given is never changed."""

import asyncio
import os
from pathlib import Path
from typing import Final

import msgspec

import moduprompt
from moduprompt.cli.faults import CallFailed, failed
from moduprompt.effects.git.port import GitRefusal, RepositoryFacts
from moduprompt.effects.git.program import GitProgram
from moduprompt.protocol import NAME_MAX, Code

PAGE_NAMES: Final = ("HELLO-FROM-THE-AGENTS.md", "HELLO-FROM-THE-AGENTS.txt", "HELLO-FROM-THE-AGENTS")
README_NAMES: Final = ("README.md", "README.rst", "README.txt", "README")
MAKEFILE_NAMES: Final = ("Makefile", "makefile", "GNUmakefile")
MERGED_INTO: Final = "main"  # the clone's branch where its source is on none, as after a checkout by commit
FILE_BYTES_MAX: Final = (
    1024 * 1024
)  # of a file that is only glanced at; the scripted agent reads four times that


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """A clone to work in, and what is useful to know of it."""

    path: str
    branch: str
    readme: str | None
    check: tuple[str, ...]
    page: str


def own_repository() -> Path | None:
    """This project's own, when it is run from a clone of it."""
    root = Path(moduprompt.__file__).resolve().parents[2]
    return root if (root / ".git").exists() else None


async def inspect(git: GitProgram, source: str, *, allow_dirty: bool) -> RepositoryFacts:
    """The repository to clone. Raises CallFailed when it is none, or not fit; nothing is made before."""
    seen = await git.inspect(source)
    if isinstance(seen, GitRefusal):
        raise refused(seen)
    if seen.is_dirty and not allow_dirty:
        raise failed(
            Code.VALIDATION_FAILED,
            f"{seen.path} has uncommitted changes, which a clone would leave out",
            hint="commit or stash them, or pass --allow-dirty to work on what is committed",
            details={"reason": "dirty_repository", "path": seen.path},
        )
    return seen


async def clone(git: GitProgram, source: RepositoryFacts, *, into: Path) -> Ground:
    """A fresh clone to work in."""
    cloned = await git.clone(source.path, str(into))
    if isinstance(cloned, GitRefusal):
        raise refused(cloned)
    root, branch = Path(cloned.path), cloned.branch or MERGED_INTO
    # A hook of everybody's repositories is no hook of this one's: it may want what the agents don't have.
    await _git(root, "config", "core.hooksPath", os.devnull)
    if cloned.branch is None and await _git(root, "checkout", "--quiet", "-B", branch) != 0:
        raise failed(
            Code.VALIDATION_FAILED,
            f"{source.path} is on no branch, and its clone {root} could not be put on one",
            hint="check out a branch there first",
            details={"reason": "detached_head", "path": source.path},
        )
    return Ground(
        path=cloned.path, branch=branch, readme=_readme(root), check=_check(root), page=await _page(root)
    )


def refused(refusal: GitRefusal) -> CallFailed:
    """What git refused, as the contract says it."""
    return failed(
        Code.VALIDATION_FAILED,
        refusal.message,
        hint=refusal.hint or None,
        details={"reason": refusal.reason, "path": refusal.path},
    )


def project_name(path: str) -> str:
    """The folder's name, made fit to be a project's: a folder may be called anything."""
    name = "".join(each if each.isprintable() else "_" for each in Path(path).name)
    return name[:NAME_MAX] if name.strip() else "repository"


async def _page(root: Path) -> str:
    """What the agents' page is called: a name that the repository does not ignore."""
    for name in PAGE_NAMES:
        if await _git(root, "check-ignore", "--quiet", name) != 0:
            return name
    raise failed(
        Code.VALIDATION_FAILED,
        f"{root} ignores every file the demo's agents could write",
        hint="choose another repository with --repo",
        details={"reason": "all_ignored", "path": str(root)},
    )


async def _git(root: Path, *words: str) -> int:
    """One word to git about the clone; gives its exit status."""
    process = await asyncio.create_subprocess_exec(
        "git",
        "-C",
        str(root),
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


def _readme(root: Path) -> str | None:
    return next((name for name in README_NAMES if _is_readable(root, name)), None)


def _is_readable(root: Path, name: str) -> bool:
    """Whether the agent can read it and add a line: it follows no link out of the repository."""
    path = (root / name).resolve()
    return path.is_relative_to(root.resolve()) and path.is_file() and path.stat().st_size <= FILE_BYTES_MAX


def _check(root: Path) -> tuple[str, ...]:
    """A real command of the repository: its smoke test where it has one, else a look at its history."""
    for name in MAKEFILE_NAMES:
        path = root / name
        if path.is_file() and b"\nsmoke:" in b"\n" + path.read_bytes()[:FILE_BYTES_MAX]:
            return ("make", "smoke")
    return ("git", "log", "--oneline", "--max-count=5")
