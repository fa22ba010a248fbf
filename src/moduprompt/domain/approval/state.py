"""An approval's state.

(none) ── requested ──→ requested ── granted ──→ granted ── revoked ──→ revoked
                            └─ denied ──→ denied
"""

from typing import ClassVar, Literal, TypeAlias, assert_never

from msgspec.structs import replace

from moduprompt.domain.approval.events import (
    ApprovalDenied,
    ApprovalFact,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalRevoked,
)
from moduprompt.domain.decider import State
from moduprompt.protocol import ApprovalId, GateId, TaskId, UserId

ApprovalStatus: TypeAlias = Literal["requested", "granted", "denied", "revoked"]


class ApprovalState(State, frozen=True, kw_only=True):
    """What decisions need of an approval."""

    index_by: ClassVar[str | None] = "gate_id"

    approval_id: ApprovalId
    gate_id: GateId
    task_id: TaskId
    status: ApprovalStatus = "requested"
    user_id: UserId | None = None


def evolve(own: ApprovalState | None, event: ApprovalFact) -> ApprovalState:
    """The state after a fact."""
    if isinstance(event, ApprovalRequested):
        return ApprovalState(approval_id=event.approval_id, gate_id=event.gate_id, task_id=event.task_id)
    assert own is not None, "BUG: an approval's first event is approval.requested"
    match event:
        case ApprovalGranted():
            return replace(own, status="granted", user_id=event.user_id)
        case ApprovalDenied():
            return replace(own, status="denied", user_id=event.user_id)
        case ApprovalRevoked():
            return replace(own, status="revoked")
        case _:
            assert_never(event)
