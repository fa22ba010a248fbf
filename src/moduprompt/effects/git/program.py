"""`Worktrees` by the `git` program: the port's promises, kept by the modules beside this one.

Here is only what they share: the locks, and the one place where a failure becomes a value.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from moduprompt.effects.git.cloning import clone_repository
from moduprompt.effects.git.committing import commit_worktree
from moduprompt.effects.git.contents import contents_of
from moduprompt.effects.git.creating import create_worktree
from moduprompt.effects.git.locks import Locks
from moduprompt.effects.git.merging import merge_branch
from moduprompt.effects.git.place import find_place, find_worktree, real_path
from moduprompt.effects.git.port import (
    CommitFacts,
    CommitSpec,
    GitRefusal,
    Home,
    MergeFacts,
    MergeSpec,
    RemoveFacts,
    RemoveSpec,
    RepositoryFacts,
    SettleFacts,
    SettleSpec,
    StatusFacts,
    WorktreeFacts,
    WorktreeSpec,
)
from moduprompt.effects.git.process import LOCK_WAIT_S, TIME_LIMIT_S, GitProcess, Refused
from moduprompt.effects.git.reading import digest_of, read_status, repository_facts
from moduprompt.effects.git.removing import remove_worktree
from moduprompt.effects.git.settling import settle_worktree
from moduprompt.effects.git.standing import bring_branch, require_nothing_beside

Facts = TypeVar("Facts")


class GitProgram:
    """One for the daemon: its locks order the daemon's own commands in each repository.

    `environment` is read once; git gets only the names in `process.PASSED_ON` of it.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        program: str = "git",
        time_limit_s: float = TIME_LIMIT_S,
        lock_wait_s: float = LOCK_WAIT_S,
    ) -> None:
        self._git = GitProcess(
            environment=environment, program=program, time_limit_s=time_limit_s, lock_wait_s=lock_wait_s
        )
        self._locks = Locks()

    async def inspect(self, path: str) -> RepositoryFacts | GitRefusal:
        return await _as_value(repository_facts(self._git, path))

    async def clone(self, source: str, into: str) -> RepositoryFacts | GitRefusal:
        return await _as_value(self._clone(source, into))

    async def create(self, spec: WorktreeSpec) -> WorktreeFacts | GitRefusal:
        return await _as_value(self._create(spec))

    async def commit(self, spec: CommitSpec) -> CommitFacts | GitRefusal:
        return await _as_value(self._commit(spec))

    async def settle(self, spec: SettleSpec) -> SettleFacts | GitRefusal:
        return await _as_value(self._settle(spec))

    async def merge(self, spec: MergeSpec) -> MergeFacts | GitRefusal:
        return await _as_value(self._merge(spec))

    async def remove(self, spec: RemoveSpec) -> RemoveFacts | GitRefusal:
        return await _as_value(self._remove(spec))

    async def status(self, path: str) -> StatusFacts | GitRefusal:
        return await _as_value(self._status(path))

    async def contents(self, path: str) -> str | None:
        """A digest of the head and all that is not committed, by bytes; None where nobody can say. Changes nothing."""
        try:
            place = await find_worktree(self._git, path)
            report = await read_status(self._git, at=place.top)
        except Refused:
            return None
        return await asyncio.to_thread(contents_of, report, at=place.top)

    async def _clone(self, source: str, into: str) -> RepositoryFacts:
        async with self._locks.hold(real_path(into)):
            return await clone_repository(self._git, source=source, into=into)

    async def _create(self, spec: WorktreeSpec) -> WorktreeFacts:
        place = await find_place(self._git, spec.repository)
        async with self._locks.hold(place.common_dir, real_path(spec.path)):
            return await create_worktree(self._git, spec, place=place)

    async def _commit(self, spec: CommitSpec) -> CommitFacts:
        place = await find_worktree(self._git, spec.path)
        async with self._locks.hold(place.top):
            facts = await commit_worktree(self._git, spec)
        if spec.branch is not None and facts.branch != spec.branch:
            async with self._locks.hold(place.common_dir, place.top):
                home = Home(path=place.top, branch=spec.branch)
                await bring_branch(self._git, home, place=place)
        return facts

    async def _settle(self, spec: SettleSpec) -> SettleFacts:
        place = await find_place(self._git, spec.repository)
        async with self._locks.hold(place.common_dir, real_path(spec.path)):
            return await settle_worktree(self._git, spec, place=place)

    async def _merge(self, spec: MergeSpec) -> MergeFacts:
        place = await find_place(self._git, spec.repository)
        if spec.home is not None:
            await require_nothing_beside(self._git, spec.home)
        return await merge_branch(self._git, spec, place=place, locks=self._locks)

    async def _remove(self, spec: RemoveSpec) -> RemoveFacts:
        place = await find_place(self._git, spec.repository)
        async with self._locks.hold(place.common_dir, real_path(spec.path)):
            return await remove_worktree(self._git, spec, place=place)

    async def _status(self, path: str) -> StatusFacts:
        place = await find_worktree(self._git, path)
        report = await read_status(self._git, at=place.top)
        return StatusFacts(
            path=place.top,
            head=report.head,
            branch=report.branch,
            staged=len(report.staged),
            unstaged=len(report.unstaged),
            untracked=len(report.untracked),
            conflicted=len(report.conflicted),
            uncommitted=await asyncio.to_thread(digest_of, report, at=place.top),
        )


async def _as_value(work: Awaitable[Facts]) -> Facts | GitRefusal:
    try:
        return await work
    except Refused as refused:
        return refused.refusal


def git_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What git is given of the daemon's own environment: where programs and the user's configuration lie."""
    return {name: environ[name] for name in ("PATH", "HOME", "XDG_CONFIG_HOME") if name in environ}
