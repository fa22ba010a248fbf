"""What follows for approvals from what runs' programs ask, and from their ends."""

from typing import Final, TypeAlias, assert_never

from moduprompt.domain.approval.events import ApprovalAsked, ApprovalWithdrawn
from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.run.events import RunExited, RunLost, RunPermissionAsked, RunPermissionWithdrawn
from moduprompt.domain.run.state import RunState
from moduprompt.protocol import ApprovalId

# Of one run: programs ask for the few calls that they make at once. One that asks without end waits for
# ever, as it would if nobody answered; what it asked is in the log.
OPEN_MAX: Final = 100

WITHDRAWN: Final = "its program wants no answer any more"

Heard: TypeAlias = ApprovalAsked | RunPermissionAsked | RunPermissionWithdrawn | RunExited | RunLost


def react(event: Heard, world: World, context: Context) -> list[Event]:
    """A question opens an approval; one that is taken back, or whose program is gone, closes it."""
    match event:
        case RunPermissionAsked():
            return _asked(event, world, context)
        case RunPermissionWithdrawn():
            gone = [a for a in _waiting(event.run_id, world) if _is_about(a, event.request_id)]
            return [ApprovalWithdrawn(approval_id=each.approval_id, reason=WITHDRAWN) for each in gone]
        case ApprovalAsked():
            run = world.find(RunState, event.run_id)
            # Asked and taken back in one breath: when it was taken back, there was nothing to close yet.
            if run is None or event.request_id not in run.withdrawn:
                return []
            return [ApprovalWithdrawn(approval_id=event.approval_id, reason=WITHDRAWN)]
        case RunExited() | RunLost():
            reason = f"run {event.run_id} has ended"
            waiting = _waiting(event.run_id, world)
            return [ApprovalWithdrawn(approval_id=each.approval_id, reason=reason) for each in waiting]
        case _:
            assert_never(event)


def _asked(event: RunPermissionAsked, world: World, context: Context) -> list[Event]:
    run = world.find(RunState, event.run_id)
    waiting = _waiting(event.run_id, world)
    if run is None or len(waiting) >= OPEN_MAX or any(_is_about(a, event.request_id) for a in waiting):
        return []
    return [
        ApprovalAsked(
            approval_id=context.mint(ApprovalId),
            run_id=event.run_id,
            session_id=run.session_id,
            request_id=event.request_id,
            tool=event.tool,
            arguments_digest=event.arguments_digest,
            options=event.options,
            detail=event.detail,
        )
    ]


def _waiting(run_id: str, world: World) -> list[ApprovalState]:
    return [a for a in world.related(ApprovalState, run_id) if a.status == "requested"]


def _is_about(approval: ApprovalState, request_id: str) -> bool:
    return approval.question is not None and approval.question.request_id == request_id
