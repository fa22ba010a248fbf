"""What people see of a gate."""

from moduprompt.domain.decider import Event
from moduprompt.domain.gate.events import GateBlocked, GateSatisfied
from moduprompt.domain.item import Item, Rows, Stamp, View, revised


class GateItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/gates`."""

    task_id: str
    stage: str
    gate_kind: str
    approvals_needed: int
    status: str
    evidence: str | None = None


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, GateBlocked):
        row = rows.get(GateItem, event.gate_id)
        created = row.created_at if row else stamp.timestamp
        rows.put(
            GateItem(
                id=event.gate_id,
                workspace_id=stamp.workspace_id,
                version=stamp.version,
                created_at=created,
                updated_at=stamp.timestamp,
                task_id=event.task_id,
                stage=event.stage,
                gate_kind=event.gate_kind,
                approvals_needed=event.approvals_needed,
                status="blocked",
            )
        )
    elif isinstance(event, GateSatisfied):
        row = rows.get(GateItem, event.gate_id)
        if row is not None:
            rows.put(revised(row, stamp, status="satisfied", evidence=event.evidence))


VIEW = View(
    name="gates", version=1, collections=(("gates", GateItem),), fold=fold, takes=(GateBlocked, GateSatisfied)
)
