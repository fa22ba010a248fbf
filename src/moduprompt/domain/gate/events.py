"""Facts about gates."""

from typing import ClassVar, Literal, TypeAlias

from moduprompt.domain.decider import Event
from moduprompt.protocol import Count, GateId, Id, Reason, TaskId

GateKind: TypeAlias = Literal["manual_approval", "policy", "tool_predicate", "webhook_wait", "delay_or_cron"]


class GateBlocked(Event, frozen=True, kw_only=True):
    """The stage can't be entered: from its making on, and again when a yes is taken back."""

    wire: ClassVar[str] = "gate.blocked"
    kind: ClassVar[str] = "gate"
    key: ClassVar[str] = "gate_id"

    gate_id: Id[GateId]
    task_id: Id[TaskId]
    stage: str
    gate_kind: GateKind
    approvals_needed: Count


class GateSatisfied(Event, frozen=True, kw_only=True):
    """The stage can be entered."""

    wire: ClassVar[str] = "gate.satisfied"
    kind: ClassVar[str] = "gate"
    key: ClassVar[str] = "gate_id"

    gate_id: Id[GateId]
    evidence: Reason


GateFact: TypeAlias = GateBlocked | GateSatisfied
