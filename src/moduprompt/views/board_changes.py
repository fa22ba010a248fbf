"""How a node changes with an event: what every fold of the board does the same way."""

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Rows, Stamp, revised, touched
from moduprompt.views.board_rows import BoardEdge, BoardNode, BoardPart, EdgeKind, Facts, NodeKind, edge_id


def new_node(event: Event, stamp: Stamp, *, kind: NodeKind, title: str, facts: Facts) -> BoardNode:
    """The node of a subject that has just come to be."""
    return BoardNode(
        id=event.subject().id,
        workspace_id=stamp.workspace_id,
        version=stamp.version,
        created_at=stamp.timestamp,
        updated_at=stamp.timestamp,
        kind=kind,
        title=title,
        status="",
        since=stamp.timestamp,
        facts=facts,
    )


def changed(node: BoardNode, event: Event, stamp: Stamp, **changes: object) -> BoardNode:
    """The node after an event; `version` follows its own subject, `since` its status."""
    if changes.get("status", node.status) != node.status:
        changes["since"] = stamp.timestamp
    own = getattr(event, event.key) == node.id
    return revised(node, stamp, **changes) if own else touched(node, stamp, **changes)


def draw_edge(rows: Rows, stamp: Stamp, kind: EdgeKind, *, source: str, target: str) -> None:
    """Connect two nodes."""
    rows.put(
        BoardEdge(
            id=edge_id(kind, source=source, target=target),
            workspace_id=stamp.workspace_id,
            version=stamp.version,
            created_at=stamp.timestamp,
            updated_at=stamp.timestamp,
            kind=kind,
            source=source,
            target=target,
        )
    )


def erase_edge(rows: Rows, kind: EdgeKind, *, source: str, target: str) -> None:
    """Disconnect them."""
    rows.drop(BoardEdge, edge_id(kind, source=source, target=target))


def make_part(rows: Rows, event: Event, stamp: Stamp, *, node_id: str, label: str) -> None:
    """Let later events of this subject find the node they belong to."""
    rows.put(
        BoardPart(
            id=event.subject().id,
            workspace_id=stamp.workspace_id,
            version=stamp.version,
            created_at=stamp.timestamp,
            updated_at=stamp.timestamp,
            node_id=node_id,
            label=label,
        )
    )


def node_of(rows: Rows, subject_id: str) -> BoardNode | None:
    """The node a subject is, or is drawn as part of."""
    part = rows.get(BoardPart, subject_id)
    return rows.get(BoardNode, part.node_id if part is not None else subject_id)
