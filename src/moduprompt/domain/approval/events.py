"""Facts about approvals."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Event
from moduprompt.protocol import ApprovalId, GateId, Id, Reason, TaskId, UserId


class ApprovalEvent(Event, frozen=True, kw_only=True):
    """A fact about one approval."""

    kind: ClassVar[str] = "approval"
    key: ClassVar[str] = "approval_id"

    approval_id: Id[ApprovalId]


class ApprovalRequested(ApprovalEvent, frozen=True, kw_only=True):
    """Somebody must say yes or no."""

    wire: ClassVar[str] = "approval.requested"

    gate_id: Id[GateId]
    task_id: Id[TaskId]
    stage: str
    reason: Reason | None = None


class ApprovalGranted(ApprovalEvent, frozen=True, kw_only=True):
    """Yes, by this user."""

    wire: ClassVar[str] = "approval.granted"

    user_id: Id[UserId]
    reason: Reason | None = None


class ApprovalDenied(ApprovalEvent, frozen=True, kw_only=True):
    """No, by this user."""

    wire: ClassVar[str] = "approval.denied"

    user_id: Id[UserId]
    reason: Reason | None = None


class ApprovalRevoked(ApprovalEvent, frozen=True, kw_only=True):
    """The yes counts no more."""

    wire: ClassVar[str] = "approval.revoked"

    user_id: Id[UserId]
    reason: Reason | None = None


ApprovalFact: TypeAlias = ApprovalRequested | ApprovalGranted | ApprovalDenied | ApprovalRevoked
