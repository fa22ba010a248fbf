"""Orders about gates."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Command
from moduprompt.policy.rights import Right
from moduprompt.protocol import GateId, Id, Reason


class RequestApproval(Command, frozen=True, kw_only=True):
    """Ask the people who can to open this gate."""

    wire: ClassVar[str] = "gate.request_approval"
    kind: ClassVar[str] = "gate"
    key: ClassVar[str | None] = "gate_id"
    right: ClassVar[Right | None] = Right.ASK_APPROVAL

    gate_id: Id[GateId]
    reason: Reason | None = None


class SatisfyGate(Command, frozen=True, kw_only=True):
    """The condition holds: for conditions that a machine judges. Kernel only."""

    wire: ClassVar[str] = "gate.satisfy"
    kind: ClassVar[str] = "gate"
    key: ClassVar[str | None] = "gate_id"
    internal: ClassVar[bool] = True

    gate_id: Id[GateId]
    evidence: Reason


GateCommand: TypeAlias = RequestApproval | SatisfyGate
