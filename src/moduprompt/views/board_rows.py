"""What a board is made of: nodes, edges, and who must move for what waits.

A node carries what it was folded from (`facts`) beside what follows from it (`status`,
`detail`, `waits`), so that the next event needs nothing but the node.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from moduprompt.domain.item import Item
from moduprompt.domain.session.state import Budget, Parked
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.state import WorktreeState

SHORT_CHARS: Final = 8  # the random end of a UUIDv7: its beginning is the time, alike for neighbours

NodeKind: TypeAlias = Literal["group", "session", "task", "worktree"]
EdgeKind: TypeAlias = Literal["lineage", "fork", "attachment", "assignment", "provenance"]
WaitsOn: TypeAlias = Literal["person", "owner", "program", "provider", "keeper", "git", "gate", "clock"]
StageMark: TypeAlias = Literal["ahead", "held", "here", "passed", "failed"]


class Wait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What waits, on whom, and the command that ends it where there is one."""

    what: str
    on: WaitsOn
    whom: str
    since: str
    command: str | None = None
    until: str | None = None
    note: str | None = None


class StageCard(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a task and how the task stands to it."""

    name: str
    kind: str
    mark: StageMark


class GroupFacts(msgspec.Struct, frozen=True, kw_only=True, tag="group", omit_defaults=True):
    """A workspace or a project."""

    noun: Literal["workspace", "project"]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session's newest run, and what it was last seen doing."""

    run_id: str
    ordinal: int
    since: str
    status: str = "requested"
    observed: str = "unknown"
    evidence: str | None = None
    is_stopping: bool = False
    how: str | None = None
    code: int | None = None
    signal: int | None = None
    failure: str | None = None
    outcome: str | None = None  # whether it did its job; None where nobody could tell


class PendingPrompt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt that is accepted and not yet typed."""

    prompt_id: str
    since: str
    is_placed: bool = False
    held_by: str | None = None
    evidence: str | None = None


class AskedFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a session's program may not do until somebody says yes."""

    approval_id: str
    tool: str
    since: str


class SessionFacts(msgspec.Struct, frozen=True, kw_only=True, tag="session", omit_defaults=True):
    """What the picture of a session is drawn from. `awaits`: the branch it waits for, which `branch_holder` holds;
    `awaits_budget_of`: whose used-up budget it waits for."""

    adapter: str
    argv: tuple[str, ...]
    path: tuple[str, ...]
    place: str
    branch: str | None = None
    parent_session_id: str | None = None
    fork_of: str | None = None
    fork_mode: str | None = None
    task_id: str | None = None
    worktree_id: str | None = None
    run: RunFacts | None = None
    prompts: tuple[PendingPrompt, ...] = ()
    asks: tuple[AskedFacts, ...] = ()
    uncertain: int = 0
    budget: Budget | None = None
    parked: Parked | None = None
    awaits: str | None = None
    awaits_since: str | None = None
    branch_holder: str | None = None
    awaits_budget_of: str | None = None
    awaits_budget_since: str | None = None
    is_closed: bool = False


class GateFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A gate in front of one of the task's stages."""

    gate_id: str
    stage: str
    gate_kind: str
    since: str
    approvals_needed: int
    is_open: bool = False


class ApprovalFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A word that was asked for."""

    approval_id: str
    gate_id: str
    stage: str
    since: str
    status: str = "requested"


class TaskFacts(msgspec.Struct, frozen=True, kw_only=True, tag="task", omit_defaults=True):
    """A task's own state, with its gates and approvals folded in."""

    state: TaskState
    gates: tuple[GateFacts, ...] = ()
    approvals: tuple[ApprovalFacts, ...] = ()
    failure: str | None = None


class WorktreeFacts(msgspec.Struct, frozen=True, kw_only=True, tag="worktree", omit_defaults=True):
    """A worktree's own state, with what was done in it. Times are those of the work under way."""

    state: WorktreeState
    commits: tuple[str, ...] = ()
    merged_as: str | None = None
    merged_into: str | None = None
    commit_since: str | None = None
    merge_since: str | None = None
    failure: str | None = None


Facts: TypeAlias = GroupFacts | SessionFacts | TaskFacts | WorktreeFacts


class BoardNode(Item, frozen=True, kw_only=True):
    """One card. `since` is when its status became what it is; `lane` a task's stage."""

    kind: NodeKind
    title: str
    status: str
    since: str
    facts: Facts
    lane: str | None = None
    stages: tuple[StageCard, ...] = ()
    detail: tuple[str, ...] = ()
    waits: tuple[Wait, ...] = ()


class BoardEdge(Item, frozen=True, kw_only=True):
    """One line between two cards, from the one that was there first."""

    kind: EdgeKind
    source: str
    target: str


class BoardPart(Item, frozen=True, kw_only=True):
    """Something that is drawn as part of a node: a run of a session, a gate or approval of a task."""

    node_id: str
    label: str


class BoardCount(Item, frozen=True, kw_only=True):
    """How often one type of event has occurred; its id is `<workspace id>/<type>`."""

    event_type: str
    count: int


def short(id_: str) -> str:
    """The form of an id that people read and type: its random end."""
    return id_[-SHORT_CHARS:]


def edge_id(kind: EdgeKind, *, source: str, target: str) -> str:
    """Derived, so that an edge can be dropped without being looked for."""
    return f"{kind}:{source}:{target}"
