"""What people see of an approval."""

from moduprompt.domain.approval.events import (
    ApprovalDenied,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalRevoked,
)
from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View, revised


class ApprovalItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/approvals`."""

    gate_id: str
    task_id: str
    stage: str
    status: str
    requested_by: str
    reason: str | None = None
    decided_by: str | None = None
    decision_reason: str | None = None


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, ApprovalRequested):
        rows.put(
            ApprovalItem(
                id=event.approval_id,
                workspace_id=stamp.workspace_id,
                version=stamp.version,
                created_at=stamp.timestamp,
                updated_at=stamp.timestamp,
                gate_id=event.gate_id,
                task_id=event.task_id,
                stage=event.stage,
                status="requested",
                requested_by=f"{stamp.actor.kind}:{stamp.actor.id}",
                reason=event.reason,
            )
        )
        return
    row = rows.get(ApprovalItem, event.approval_id) if isinstance(event, ApprovalEvent) else None
    if row is None:
        return
    if isinstance(event, ApprovalGranted | ApprovalDenied | ApprovalRevoked):
        status = event.wire.partition(".")[2]
        rows.put(revised(row, stamp, status=status, decided_by=event.user_id, decision_reason=event.reason))


VIEW = View(
    name="approvals", version=1, collections=(("approvals", ApprovalItem),), fold=fold, takes=(ApprovalEvent,)
)
