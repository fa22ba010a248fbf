"""Orders about approvals: for people, never for sessions."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Command
from moduprompt.protocol import ApprovalId, Id, Reason


class ApprovalOrder(Command, frozen=True, kw_only=True):
    """An order about one approval."""

    kind: ClassVar[str] = "approval"
    key: ClassVar[str | None] = "approval_id"

    approval_id: Id[ApprovalId]
    reason: Reason | None = None


class GrantApproval(ApprovalOrder, frozen=True, kw_only=True):
    """Yes."""

    wire: ClassVar[str] = "approval.grant"


class DenyApproval(ApprovalOrder, frozen=True, kw_only=True):
    """No: what asked for it is not done."""

    wire: ClassVar[str] = "approval.deny"


class RevokeApproval(ApprovalOrder, frozen=True, kw_only=True):
    """Take a yes back; it closes the gate again for what has not passed it yet."""

    wire: ClassVar[str] = "approval.revoke"


ApprovalCommand: TypeAlias = GrantApproval | DenyApproval | RevokeApproval
