"""What people see of an approval."""

from typing import Final

from msgspec.structs import replace

from moduprompt.domain.approval.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalDenied,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalRevoked,
    ApprovalSpent,
    ApprovalWithdrawn,
)
from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View, revised
from moduprompt.domain.run.events import OfferedOption
from moduprompt.protocol import TextRef

WAITING: Final = "requested"  # the status of one that nobody has decided yet


class ApprovalItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/approvals`: what a gate asks for (`gate_id`, `task_id`, `stage`), or a run's program
    (`run_id`, `session_id`, `request_id`, `tool`, `options`, `detail`).

    `answered`: whether the program was told what was decided.
    """

    status: str
    requested_by: str
    gate_id: str | None = None
    task_id: str | None = None
    stage: str | None = None
    run_id: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    tool: str | None = None
    options: tuple[OfferedOption, ...] = ()
    detail: TextRef | None = None
    reason: str | None = None
    decided_by: str | None = None
    decision_reason: str | None = None
    option: str | None = None
    answered: str | None = None


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, ApprovalRequested | ApprovalAsked):
        rows.put(_opened(event, stamp))
        return
    row = rows.get(ApprovalItem, event.approval_id) if isinstance(event, ApprovalEvent) else None
    if row is not None:
        rows.put(revised(row, stamp, **_changes(event)))


def _opened(event: ApprovalRequested | ApprovalAsked, stamp: Stamp) -> ApprovalItem:
    row = ApprovalItem(
        id=event.approval_id,
        workspace_id=stamp.workspace_id,
        version=stamp.version,
        created_at=stamp.timestamp,
        updated_at=stamp.timestamp,
        status="requested",
        requested_by=f"{stamp.actor.kind}:{stamp.actor.id}",
    )
    if isinstance(event, ApprovalRequested):
        return replace(
            row, gate_id=event.gate_id, task_id=event.task_id, stage=event.stage, reason=event.reason
        )
    return replace(
        row,
        requested_by=f"session:{event.session_id}",
        run_id=event.run_id,
        session_id=event.session_id,
        request_id=event.request_id,
        tool=event.tool,
        options=event.options,
        detail=event.detail,
    )


def _changes(event: Event) -> dict[str, object]:
    match event:
        case ApprovalGranted() | ApprovalDenied():
            said = {"decided_by": event.user_id, "decision_reason": event.reason, "option": event.option}
            return {"status": event.wire.partition(".")[2], **said}
        case ApprovalRevoked():
            return {"status": "revoked", "decided_by": event.user_id, "decision_reason": event.reason}
        case ApprovalWithdrawn():
            return {"status": "withdrawn", "decision_reason": event.reason}
        case ApprovalSpent():
            return {"status": "spent", "decision_reason": event.reason}
        case ApprovalAnswered():
            return {"answered": event.how}
        case _:
            return {}


VIEW = View(
    name="approvals", version=2, collections=(("approvals", ApprovalItem),), fold=fold, takes=(ApprovalEvent,)
)
