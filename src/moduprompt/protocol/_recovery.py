"""The answer of `GET /v1/recovery`: what a daemon found when it started, and what it did about it.

It is the daemon's memory of this one start. What it found out about a run is in the log as well, where
it is a fact; what it only looked at (folders, processes, control groups) is nowhere else.
"""

from typing import Literal, TypeAlias

import msgspec

from moduprompt.protocol._ids import RunId, WorkspaceId, WorktreeId

Fate: TypeAlias = Literal["looking", "waiting", "reattached", "ended", "lost", "unanswering", "begun"]
"""What became of a run that was live in the log.

`looking`: not known yet. `waiting`: it has no program yet and waits for room. `reattached`: its keeper
is listened to again. `ended`: while no daemon ran. `lost`: gone without a last word. `unanswering`: its
keeper lives and doesn't answer; it is asked again. `begun`: it had no keeper yet and has one now.
"""

StrayKind: TypeAlias = Literal["run_folder", "process", "control_group", "worktree_folder"]


class RecoveredRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that was live in the log. `entries` is how much of its keeper's journal nobody had acknowledged."""

    run_id: RunId
    workspace_id: WorkspaceId
    fate: Fate
    keeper_pid: int | None = None
    entries: int = 0
    evidence: str | None = None
    swept: tuple[str, ...] = ()


class Stray(msgspec.Struct, frozen=True, kw_only=True):
    """Something on this machine that the log has no use for. It was left alone."""

    kind: StrayKind
    name: str
    why: str


class MissingWorktree(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree that the log has and the disk has not."""

    worktree_id: WorktreeId
    workspace_id: WorkspaceId
    path: str


class Recovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was found since `began_at`. While something is still looked at, `took_ms` is not there.

    `left_out` counts what the lists had no room for; `not_compared` says what could not be looked at, and why.
    """

    version: str
    began_at: str
    runs: tuple[RecoveredRun, ...] = ()
    freed_keepers: tuple[RunId, ...] = ()
    strays: tuple[Stray, ...] = ()
    missing_worktrees: tuple[MissingWorktree, ...] = ()
    left_out: int = 0
    not_compared: tuple[str, ...] = ()
    took_ms: int | None = None
