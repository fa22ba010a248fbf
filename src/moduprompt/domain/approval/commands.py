"""Orders about approvals: for people, never for sessions."""

from typing import ClassVar, Literal, TypeAlias

from moduprompt.domain.decider import Command
from moduprompt.domain.run.said import Mark
from moduprompt.protocol import ApprovalId, Id, Reason

AnswerEnd: TypeAlias = Literal["given", "not_taken"]
"""What became of an answer: the program has it, or never will."""


class ApprovalOrder(Command, frozen=True, kw_only=True):
    """An order about one approval."""

    kind: ClassVar[str] = "approval"
    key: ClassVar[str | None] = "approval_id"

    approval_id: Id[ApprovalId]
    reason: Reason | None = None


class GrantApproval(ApprovalOrder, frozen=True, kw_only=True):
    """Yes. `option`: which of a program's answers, by its id or kind; else the one that holds this once only."""

    wire: ClassVar[str] = "approval.grant"
    later: ClassVar[frozenset[str]] = frozenset({"option"})

    option: Mark | None = None


class DenyApproval(ApprovalOrder, frozen=True, kw_only=True):
    """No: what asked for it is not done. `option`: as with a yes."""

    wire: ClassVar[str] = "approval.deny"
    later: ClassVar[frozenset[str]] = frozenset({"option"})

    option: Mark | None = None


class RevokeApproval(ApprovalOrder, frozen=True, kw_only=True):
    """Take a yes back; it closes the gate again for what has not passed it yet."""

    wire: ClassVar[str] = "approval.revoke"


class ReportAnswered(Command, frozen=True, kw_only=True):
    """What became of the answer to a program's permission prompt. Kernel only."""

    wire: ClassVar[str] = "approval.report_answered"
    kind: ClassVar[str] = "approval"
    key: ClassVar[str | None] = "approval_id"
    internal: ClassVar[bool] = True

    approval_id: Id[ApprovalId]
    how: AnswerEnd
    evidence: Reason


ApprovalCommand: TypeAlias = GrantApproval | DenyApproval | RevokeApproval | ReportAnswered
