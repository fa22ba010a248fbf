"""The board: sessions, tasks and worktrees as nodes, what ties them as edges, stages as lanes.

A fold over events and nothing else, so the rows in a client's dictionary and in the
daemon's store are the same. Runs and what they ask are drawn in their session, gates and
approvals in their task. `to_board` makes the snapshot that clients draw and `--json` prints.
"""

from collections.abc import Iterable

import msgspec

from moduprompt.domain.approval.events import ApprovalEvent
from moduprompt.domain.decider import Event
from moduprompt.domain.gate.events import GateBlocked, GateSatisfied
from moduprompt.domain.item import Rows, Stamp, View
from moduprompt.domain.project.events import ProjectArchived, ProjectCreated, ProjectEvent, ProjectRenamed
from moduprompt.domain.run.events import RunEvent
from moduprompt.domain.session.events import SessionEvent
from moduprompt.domain.task.events import TaskEvent
from moduprompt.domain.workspace.events import (
    WorkspaceArchived,
    WorkspaceCreated,
    WorkspaceEvent,
    WorkspaceRenamed,
)
from moduprompt.domain.worktree.events import WorktreeEvent
from moduprompt.views.board_changes import changed, new_node, node_of
from moduprompt.views.board_rows import BoardCount, BoardEdge, BoardNode, BoardPart, GroupFacts, Wait
from moduprompt.views.board_sessions import fold_question, fold_run, fold_session
from moduprompt.views.board_tasks import fold_approval, fold_gate, fold_task
from moduprompt.views.board_worktrees import fold_worktree
from moduprompt.views.memory import MemoryRows


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A stage, and the tasks that stand in it."""

    name: str
    kind: str
    task_ids: tuple[str, ...]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Something that waits, and the node it belongs to."""

    node_id: str
    wait: Wait


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A board at a sequence. `at` is the time of its last event: nothing here reads a clock."""

    seq: int
    at: str
    title: str
    nodes: tuple[BoardNode, ...]
    edges: tuple[BoardEdge, ...]
    lanes: tuple[Lane, ...]
    waiting: tuple[Waiting, ...]
    counts: dict[str, int]


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    _count(rows, event, stamp)
    match event:
        case TaskEvent():
            fold_task(rows, event, stamp)
        case SessionEvent():
            fold_session(rows, event, stamp)
        case RunEvent():
            fold_run(rows, event, stamp)
        case WorktreeEvent():
            fold_worktree(rows, event, stamp)
        case GateBlocked() | GateSatisfied():
            fold_gate(rows, event, stamp)
        case ApprovalEvent():
            fold_approval(rows, event, stamp)
            fold_question(rows, event, stamp)
        case WorkspaceEvent() | ProjectEvent():
            _fold_group(rows, event, stamp)
        case _:
            return  # users have no place on a board


def board_snapshot(rows: MemoryRows, *, seq: int) -> Board:
    """The board as it stands in a client's rows."""
    return to_board(rows.every(BoardNode), rows.every(BoardEdge), counts=rows.every(BoardCount), seq=seq)


def to_board(
    nodes: Iterable[BoardNode], edges: Iterable[BoardEdge], *, counts: Iterable[BoardCount], seq: int
) -> Board:
    """One workspace's rows, in whatever order they come, as one value in one order."""
    cards = tuple(sorted(nodes, key=lambda node: (node.created_at, node.id)))
    tally = sorted(counts, key=lambda row: row.event_type)
    return Board(
        seq=seq,
        at=max((row.updated_at for row in tally), default=""),
        title=next((n.title for n in cards if n.id == n.workspace_id), ""),
        nodes=cards,
        edges=tuple(sorted(edges, key=lambda edge: (edge.created_at, edge.id))),
        lanes=_lanes(cards),
        waiting=_waiting(cards),
        counts={row.event_type: row.count for row in tally},
    )


def _count(rows: Rows, event: Event, stamp: Stamp) -> None:
    id_ = f"{stamp.workspace_id}/{event.wire}"
    row = rows.get(BoardCount, id_)
    rows.put(
        BoardCount(
            id=id_,
            workspace_id=stamp.workspace_id,
            version=stamp.seq,
            created_at=row.created_at if row is not None else stamp.timestamp,
            updated_at=stamp.timestamp,
            event_type=event.wire,
            count=row.count + 1 if row is not None else 1,
        )
    )


def _fold_group(rows: Rows, event: WorkspaceEvent | ProjectEvent, stamp: Stamp) -> None:
    if isinstance(event, WorkspaceCreated | ProjectCreated):
        facts = GroupFacts(noun="workspace" if isinstance(event, WorkspaceCreated) else "project")
        node = new_node(event, stamp, kind="group", title=event.name, facts=facts)
        rows.put(msgspec.structs.replace(node, status="active"))
        return
    node = node_of(rows, event.subject().id)
    if node is None:
        return
    match event:
        case WorkspaceRenamed() | ProjectRenamed():
            rows.put(changed(node, event, stamp, title=event.name))
        case WorkspaceArchived() | ProjectArchived():
            rows.put(changed(node, event, stamp, status="archived"))
        case _:
            rows.put(changed(node, event, stamp))


def _lanes(nodes: tuple[BoardNode, ...]) -> tuple[Lane, ...]:
    """The stages of all tasks, in the order in which the tasks bring them."""
    kinds: dict[str, str] = {}
    for node in nodes:
        for stage in node.stages:
            kinds.setdefault(stage.name, stage.kind)
    return tuple(
        Lane(name=name, kind=kind, task_ids=tuple(node.id for node in nodes if node.lane == name))
        for name, kind in kinds.items()
    )


def _waiting(nodes: tuple[BoardNode, ...]) -> tuple[Waiting, ...]:
    """What people can end comes first; then the longest wait."""
    waiting = [Waiting(node_id=node.id, wait=wait) for node in nodes for wait in node.waits]
    return tuple(sorted(waiting, key=lambda each: (each.wait.command is None, each.wait.since)))


VIEW = View(
    name="board",
    version=8,
    collections=(
        ("board_nodes", BoardNode),
        ("board_edges", BoardEdge),
        ("board_parts", BoardPart),
        ("board_counts", BoardCount),
    ),
    fold=fold,
)
