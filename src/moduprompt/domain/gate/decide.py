"""Which orders about a gate are taken."""

from typing import assert_never

from moduprompt.domain.approval.events import ApprovalRequested, ApprovalSpent
from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import Context, Decision, Event, World
from moduprompt.domain.gate.commands import GateCommand, RequestApproval, SatisfyGate
from moduprompt.domain.gate.events import GateBlocked, GateSatisfied
from moduprompt.domain.gate.state import GateState
from moduprompt.protocol import ApprovalId, invalid


def decide(command: GateCommand, own: GateState | None, world: World, context: Context) -> Decision:
    """Facts, or why not."""
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    match command:
        case RequestApproval():
            if own.gate_kind != "manual_approval":
                return invalid(
                    "gate_kind",
                    f"gate {own.gate_id} is opened by {own.gate_kind}, not by an approval",
                    hint=f"mpctl gate show {own.gate_id}",
                    gate_kind=own.gate_kind,
                )
            if own.is_satisfied or pending_approval(own, world) is not None:
                return []
            return [approval_request(own, context, reason=command.reason)]
        case SatisfyGate():
            if own.gate_kind == "manual_approval":
                return invalid(
                    "gate_kind",
                    f"gate {own.gate_id} is opened by an approval only",
                    hint=f"mpctl gate request {own.gate_id}",
                )
            if own.is_satisfied:
                return []
            return [GateSatisfied(gate_id=own.gate_id, evidence=command.evidence)]
        case _:
            assert_never(command)


def pending_approval(own: GateState, world: World) -> ApprovalState | None:
    """The request that waits for a word, if there is one."""
    waiting = (a for a in world.related(ApprovalState, own.gate_id) if a.status == "requested")
    return next(waiting, None)


def approval_request(own: GateState, context: Context, *, reason: str | None) -> ApprovalRequested:
    """A new request for this gate."""
    return ApprovalRequested(
        approval_id=context.mint(ApprovalId),
        gate_id=own.gate_id,
        task_id=own.task_id,
        stage=own.stage,
        reason=reason,
    )


def shut_again(own: GateState, world: World, *, reason: str) -> list[Event]:
    """Closed as on its first day: each yes that it got was for what is over now, and counts no more."""
    granted = (each for each in world.related(ApprovalState, own.gate_id) if each.status == "granted")
    spent = [ApprovalSpent(approval_id=each.approval_id, reason=reason) for each in granted]
    return [*([blocked(own)] if own.is_satisfied else []), *spent]


def blocked(own: GateState) -> GateBlocked:
    """The gate is closed once more."""
    return GateBlocked(
        gate_id=own.gate_id,
        task_id=own.task_id,
        stage=own.stage,
        gate_kind=own.gate_kind,
        approvals_needed=own.approvals_needed,
    )
