"""A gate's state.

(none) ── blocked ──→ blocked ── satisfied ──→ satisfied
                         ↑                        │
                         └─────── blocked ────────┘
"""

from typing import ClassVar

from msgspec.structs import replace

from moduprompt.domain.decider import State
from moduprompt.domain.gate.events import GateBlocked, GateFact, GateKind
from moduprompt.protocol import GateId, TaskId


class GateState(State, frozen=True, kw_only=True):
    """What decisions need of a gate."""

    index_by: ClassVar[str | None] = "task_id"

    gate_id: GateId
    task_id: TaskId
    stage: str
    gate_kind: GateKind
    approvals_needed: int
    is_satisfied: bool = False


def evolve(own: GateState | None, event: GateFact) -> GateState:
    """The state after a fact."""
    if isinstance(event, GateBlocked):
        return GateState(
            gate_id=event.gate_id,
            task_id=event.task_id,
            stage=event.stage,
            gate_kind=event.gate_kind,
            approvals_needed=event.approvals_needed,
        )
    assert own is not None, "BUG: a gate's first event is gate.blocked"
    return replace(own, is_satisfied=True)
