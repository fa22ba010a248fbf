"""What the daemon asks of git, and what it gets back.

Guarantees that every adapter keeps (tests/conformance/test_worktrees.py):

- Doing a thing twice is harmless: a daemon that was killed between doing and
  reporting asks again and gets the same facts.
- A refusal leaves nothing half done: no branch, folder, lock or merge of ours.
- Nothing is removed before what is unsaved in it lies under `refs/mp/salvage/…`.
- A refusal is a value. An exception means that this code is broken.

Paths are absolute strings in valid UTF-8; commits are full hexadecimal ids.
"""

from typing import Literal, Protocol

import msgspec

SALVAGE_PREFIX = "refs/mp/salvage/"  # outside refs/heads: no fetch, push or branch list picks it up by itself

RefusalReason = Literal[
    "path_missing",
    "not_a_repository",
    "bare_repository",
    "empty_repository",
    "dirty_repository",
    "branch_exists",
    "branch_checked_out",
    "branch_diverged",
    "ref_missing",
    "worktree_conflict",
    "merge_conflict",
    "git_failed",
    "git_missing",
    "timed_out",
]

BranchMode = Literal["new_branch", "existing_branch", "shared_branch"]


class GitRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why git, or the state of the repository, does not allow it, and what a person can do."""

    reason: RefusalReason
    message: str
    path: str
    hint: str = ""
    files: tuple[str, ...] = ()  # what conflicts or is in the way, for display; at most FILES_NAMED_MAX


class RepositoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A repository with at least one commit. `branch` is None on a detached head."""

    path: str  # top level of the working tree, links resolved
    git_dir: str  # shared by all worktrees of the repository: its identity on this machine
    branch: str | None
    default_branch: str | None
    head: str
    is_dirty: bool  # untracked files count, ignored ones don't
    is_shallow: bool


class WorktreeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`base` is a branch, a remote branch of origin, or a commit; only `new_branch` reads it.

    `new_branch` refuses a branch that exists, `existing_branch` one that is checked out;
    `shared_branch` takes one that may be checked out elsewhere: the worktree stands detached on its commit, and `settle`
    moves the branch. A second checkout of it would fall behind with each commit of the first.
    `work_of` is another worktree of the repository: what is not committed there (changed, added, deleted and
    untracked files, ignored ones not) lies uncommitted in the new one too. The other one is only read.
    """

    repository: str
    path: str
    branch: str
    base: str = "HEAD"
    mode: BranchMode = "new_branch"
    work_of: str | None = None


class WorktreeFacts(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    branch: str
    head: str


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree, and the branch that it was made for."""

    path: str
    branch: str


class CommitSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`since` is the head that was last reported for this worktree.

    `branch` has all of it afterwards, also where somebody has gone on beside it; None: wherever the worktree stands.
    """

    path: str
    branch: str | None = None
    message: str
    author_name: str
    author_email: str
    since: str


class CommitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the worktree holds beyond `since`, whoever made the commits."""

    head: str
    branch: str | None  # None on a detached head: the agent may have moved it
    commits: tuple[str, ...]  # oldest first; the newest COMMITS_NAMED_MAX of them
    commits_total: int
    files_changed: int
    clean: bool
    left_out: tuple[str, ...] = ()  # repositories of their own inside the worktree: they can't be committed


class SettleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Bring `path`, made as `shared_branch`, and its branch together, forwards only. Nobody else writes there now."""

    repository: str
    path: str
    branch: str


class SettleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where both stand."""

    head: str


class MergeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Merge `branch` (or a commit) into the branch `into`, always with a merge commit.

    `home`: what stands there must not be beside its branch, or work would be called merged that is not.
    """

    repository: str
    branch: str
    home: Home | None = None
    into: str
    message: str
    author_name: str
    author_email: str


class MergeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`merge_commit` is None when there was nothing to merge: `into` goes through the branch's `tip` itself."""

    merge_commit: str | None
    tip: str
    head_before: str
    head_after: str
    already_merged: bool


class RemoveSpec(msgspec.Struct, frozen=True, kw_only=True):
    repository: str
    path: str
    worktree_id: str


class RemoveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The branch stays. `salvage_ref` is None when nothing was in danger of being lost."""

    path: str
    salvage_ref: str | None
    salvage_commit: str | None


class StatusFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of paths. An untracked folder counts as one.

    `uncommitted` is a digest of what is not committed, by names, sizes and times: another one when it has changed.
    """

    path: str
    head: str | None  # None before the first commit
    branch: str | None
    staged: int
    unstaged: int
    untracked: int
    conflicted: int
    uncommitted: str = ""

    @property
    def is_clean(self) -> bool:
        return not (self.staged or self.unstaged or self.untracked or self.conflicted)


class Worktrees(Protocol):
    """Everything the daemon does with git. See the guarantees at the top of this module."""

    async def inspect(self, path: str) -> RepositoryFacts | GitRefusal:
        """The repository that `path` lies in. Changes nothing."""
        ...

    async def clone(self, source: str, into: str) -> RepositoryFacts | GitRefusal:
        """A complete copy that shares no file with its source. `into` appears whole or not at all."""
        ...

    async def create(self, spec: WorktreeSpec) -> WorktreeFacts | GitRefusal:
        """A worktree at `spec.path`; the one that is there already, if it is on the same branch."""
        ...

    async def commit(self, spec: CommitSpec) -> CommitFacts | GitRefusal:
        """Commit what is uncommitted (untracked but not ignored included), and say what is new since `since`."""
        ...

    async def settle(self, spec: SettleSpec) -> SettleFacts | GitRefusal:
        """Move the branch or its worktree forwards, whichever is behind, or leave everything as it was."""
        ...

    async def merge(self, spec: MergeSpec) -> MergeFacts | GitRefusal:
        """Advance `spec.into` to a merge commit, atomically, or leave everything as it was."""
        ...

    async def remove(self, spec: RemoveSpec) -> RemoveFacts | GitRefusal:
        """Save what would be lost, then remove the worktree. Ignored files are not saved."""
        ...

    async def status(self, path: str) -> StatusFacts | GitRefusal:
        """How a working tree differs from its head. Changes nothing, takes no lock."""
        ...
