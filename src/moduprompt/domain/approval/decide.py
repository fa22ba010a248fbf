"""Which orders about an approval are taken. Only a user's word counts."""

from typing import assert_never

from moduprompt.domain.approval.commands import (
    ApprovalCommand,
    DenyApproval,
    GrantApproval,
    RevokeApproval,
)
from moduprompt.domain.approval.events import ApprovalDenied, ApprovalGranted, ApprovalRevoked
from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import Context, Decision, World
from moduprompt.protocol import UserId, invalid


def decide(
    command: ApprovalCommand,
    own: ApprovalState | None,
    world: World,
    context: Context,
) -> Decision:
    """Facts, or why not."""
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    if context.actor.kind != "user":
        return invalid("not_a_user", f"approval {own.approval_id} needs a user's word")
    user_id = UserId(context.actor.id)
    match command:
        case GrantApproval():
            if own.status == "granted":
                return []
            if own.status != "requested":
                return _decided(own)
            if _has_granted(user_id, own, world):
                return _needs_another(own)
            return [ApprovalGranted(approval_id=own.approval_id, user_id=user_id, reason=command.reason)]
        case DenyApproval():
            if own.status == "denied":
                return []
            if own.status != "requested":
                return _decided(own)
            return [ApprovalDenied(approval_id=own.approval_id, user_id=user_id, reason=command.reason)]
        case RevokeApproval():
            if own.status == "revoked":
                return []
            if own.status != "granted":
                return invalid(
                    "approval_not_granted",
                    f"approval {own.approval_id} is {own.status}; only a granted one can be revoked",
                    status=own.status,
                )
            return [ApprovalRevoked(approval_id=own.approval_id, user_id=user_id, reason=command.reason)]
        case _:
            assert_never(command)


def _has_granted(user_id: UserId, own: ApprovalState, world: World) -> bool:
    asked = world.related(ApprovalState, own.gate_id)
    return any(each.status == "granted" and each.user_id == user_id for each in asked)


def _needs_another(own: ApprovalState) -> Decision:
    return invalid(
        "second_person_needed",
        f"approval {own.approval_id} needs somebody else: you have said yes to gate {own.gate_id} already",
    )


def _decided(own: ApprovalState) -> Decision:
    return invalid(
        "approval_decided",
        f"approval {own.approval_id} is {own.status} already",
        hint="propose the stage again to ask anew: mpctl task advance",
        status=own.status,
    )
