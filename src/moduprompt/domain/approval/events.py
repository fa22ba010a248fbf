"""Facts about approvals."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.approval.commands import AnswerEnd
from moduprompt.domain.decider import Event
from moduprompt.domain.run.events import OfferedOption
from moduprompt.domain.run.said import Digest, Mark
from moduprompt.protocol import ApprovalId, GateId, Id, Reason, RunId, SessionId, TaskId, TextRef, UserId


class ApprovalEvent(Event, frozen=True, kw_only=True):
    """A fact about one approval."""

    kind: ClassVar[str] = "approval"
    key: ClassVar[str] = "approval_id"

    approval_id: Id[ApprovalId]


class ApprovalRequested(ApprovalEvent, frozen=True, kw_only=True):
    """Somebody must say yes or no before a task enters a stage."""

    wire: ClassVar[str] = "approval.requested"

    gate_id: Id[GateId]
    task_id: Id[TaskId]
    stage: str
    reason: Reason | None = None


class ApprovalAsked(ApprovalEvent, frozen=True, kw_only=True):
    """Somebody must say yes or no before a run's program does this; until then it stands still.

    `detail`: what it wants to do, in full, for who answers.
    """

    wire: ClassVar[str] = "approval.asked"

    run_id: Id[RunId]
    session_id: Id[SessionId]
    request_id: Mark
    tool: Mark
    arguments_digest: Digest
    options: tuple[OfferedOption, ...]
    detail: TextRef | None = None


class ApprovalGranted(ApprovalEvent, frozen=True, kw_only=True):
    """Yes, by this user. `option`: the program's answer that was chosen."""

    wire: ClassVar[str] = "approval.granted"

    user_id: Id[UserId]
    reason: Reason | None = None
    option: Mark | None = None


class ApprovalDenied(ApprovalEvent, frozen=True, kw_only=True):
    """No, by this user. `option`: the program's answer that was chosen."""

    wire: ClassVar[str] = "approval.denied"

    user_id: Id[UserId]
    reason: Reason | None = None
    option: Mark | None = None


class ApprovalRevoked(ApprovalEvent, frozen=True, kw_only=True):
    """The yes counts no more."""

    wire: ClassVar[str] = "approval.revoked"

    user_id: Id[UserId]
    reason: Reason | None = None


class ApprovalWithdrawn(ApprovalEvent, frozen=True, kw_only=True):
    """Nobody's word is wanted any more: the program took its question back, or ended."""

    wire: ClassVar[str] = "approval.withdrawn"

    reason: Reason


class ApprovalSpent(ApprovalEvent, frozen=True, kw_only=True):
    """The yes was for what is over by now: who wants to pass its gate once more asks again."""

    wire: ClassVar[str] = "approval.spent"

    reason: Reason


class ApprovalAnswered(ApprovalEvent, frozen=True, kw_only=True):
    """The program has been told what was decided, once; or never will be."""

    wire: ClassVar[str] = "approval.answered"

    how: AnswerEnd
    evidence: Reason


ApprovalFact: TypeAlias = (
    ApprovalRequested
    | ApprovalAsked
    | ApprovalGranted
    | ApprovalDenied
    | ApprovalRevoked
    | ApprovalWithdrawn
    | ApprovalSpent
    | ApprovalAnswered
)
