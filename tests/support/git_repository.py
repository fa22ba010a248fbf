"""Real git repositories for tests: made from nothing, with no configuration but the test's own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from moduprompt.effects.git.port import CommitSpec, GitRefusal, MergeSpec, RemoveSpec, Worktrees, WorktreeSpec
from moduprompt.effects.git.program import GitProgram

Facts = TypeVar("Facts")

WORKTREE_ID = "01920000-0000-7000-8000-000000000001"
SALVAGE = f"refs/mp/salvage/{WORKTREE_ID}"


def git_environment(home: Path) -> dict[str, str]:
    """What a fresh machine has: a PATH and an empty home. No identity, no global configuration."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C"}


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository under test, driven from outside the code under test."""

    path: Path
    home: Path

    def git(self, *arguments: str, at: Path | None = None, check: bool = True) -> str:
        """Run git as somebody else would: an agent or a person, with an identity of their own."""
        identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=at or self.path,
            env=git_environment(self.home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"git {arguments} failed: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="surrogateescape").removesuffix("\n")

    def write(self, name: str, text: str, *, at: Path | None = None) -> None:
        target = (at or self.path) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def commit(self, name: str, text: str, *, at: Path | None = None) -> str:
        """Write one file, commit it, and name the commit."""
        self.write(name, text, at=at)
        self.git("add", "--", name, at=at)
        self.git("commit", "--quiet", "--message", f"Change {name}", at=at)
        return self.head(at=at)

    def head(self, ref: str = "HEAD", *, at: Path | None = None) -> str:
        return self.git("rev-parse", ref, at=at)

    def exists(self, ref: str) -> bool:
        return bool(self.git("rev-parse", "--verify", "--quiet", ref, check=False))

    def snapshot(self) -> tuple[str, ...]:
        """Everything that must not change when a request is refused."""
        state = self.git("for-each-ref"), self.git("worktree", "list"), self.git("status", "--porcelain")
        return (*state, self.git("symbolic-ref", "-q", "HEAD", check=False))

    def to_create(self, name: str = "one", *, base: str = "main") -> WorktreeSpec:
        path = self.path.parent / "trees" / name
        return WorktreeSpec(repository=str(self.path), path=str(path), branch=f"mp/{name}", base=base)

    def to_share(self, branch: str = "mp/one", *, name: str = "beside") -> WorktreeSpec:
        path = self.path.parent / "trees" / name
        return WorktreeSpec(repository=str(self.path), path=str(path), branch=branch, mode="shared_branch")

    def to_merge(self, branch: str = "mp/one", *, into: str = "main") -> MergeSpec:
        return MergeSpec(
            repository=str(self.path),
            branch=branch,
            into=into,
            message=f"Merge {branch}",
            author_name="Ada",
            author_email="ada@x.org",
        )

    def to_remove(self, path: str | Path) -> RemoveSpec:
        return RemoveSpec(repository=str(self.path), path=str(path), worktree_id=WORKTREE_ID)


def to_commit(path: str | Path, *, since: str, message: str = "Work") -> CommitSpec:
    return CommitSpec(
        path=str(path), message=message, author_name="Ada", author_email="ada@x.org", since=since
    )


def text_of(folder: str | Path, name: str) -> str | None:
    """What a file says; None when there is none."""
    file = Path(folder, name)
    return file.read_text() if file.is_file() else None


def make_repository(path: Path, *, home: Path) -> Repository:
    """A repository on branch `main` with one commit of two files."""
    path.mkdir(parents=True)
    home.mkdir(exist_ok=True)
    repository = Repository(path=path, home=home)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.write("readme.txt", "one\ntwo\nthree\n")
    repository.write(".gitignore", "*.log\n")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "First")
    return repository


def granted(answer: Facts | GitRefusal) -> Facts:
    """The facts; a refusal fails the test with its words."""
    assert not isinstance(answer, GitRefusal), f"refused: {answer}"
    return answer


def refused(answer: object) -> GitRefusal:
    assert isinstance(answer, GitRefusal), f"not refused: {answer}"
    assert answer.message, "a refusal needs words"
    return answer


def program(repository: Repository, **environment: str) -> GitProgram:
    """Our git for a repository, with little patience for locks."""
    return GitProgram(environment=git_environment(repository.home) | environment, lock_wait_s=0.3)


async def made(git: GitProgram, repository: Repository, name: str = "one") -> Path:
    """Where a new worktree of the repository lies."""
    return Path(granted(await git.create(repository.to_create(name))).path)


ADAPTERS: dict[str, Callable[[Path], Worktrees]] = {
    "git program": lambda home: GitProgram(environment=git_environment(home)),
}
"""Every adapter of the `Worktrees` port, for a home: what the conformance tests run on."""
