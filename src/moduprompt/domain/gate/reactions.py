"""What follows for a gate from what people say."""

from typing import TypeAlias

from moduprompt.domain.approval.events import ApprovalGranted, ApprovalRevoked
from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.gate.decide import approval_request, blocked, pending_approval
from moduprompt.domain.gate.events import GateSatisfied
from moduprompt.domain.gate.state import GateState

Heard: TypeAlias = ApprovalGranted | ApprovalRevoked


def react(event: Heard, world: World, context: Context) -> list[Event]:
    """Enough different people said yes: open. One took it back: closed again."""
    approval = world.find(ApprovalState, event.approval_id)
    own = world.find(GateState, approval.asker) if approval else None
    if own is None:
        return []
    granted = {a.user_id for a in world.related(ApprovalState, own.gate_id) if a.status == "granted"}
    if len(granted) >= own.approvals_needed:
        return [] if own.is_satisfied else [_satisfied(own, len(granted))]
    if own.is_satisfied:
        return [blocked(own)]
    if isinstance(event, ApprovalGranted) and pending_approval(own, world) is None:
        return [approval_request(own, context, reason="one more approval is needed")]
    return []


def _satisfied(own: GateState, granted: int) -> GateSatisfied:
    return GateSatisfied(
        gate_id=own.gate_id, evidence=f"{granted} of {own.approvals_needed} approvals granted"
    )
