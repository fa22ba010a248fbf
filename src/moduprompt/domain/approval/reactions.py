"""What follows for approvals from what runs' programs ask, and from their ends."""

from typing import Final, TypeAlias, assert_never

from moduprompt.domain.approval.events import ApprovalAnswered, ApprovalAsked, ApprovalWithdrawn
from moduprompt.domain.approval.questions import is_about, open_questions
from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.run.events import (
    RunExited,
    RunLost,
    RunPermissionAsked,
    RunPermissionWithdrawn,
    RunStatusObserved,
)
from moduprompt.domain.run.saying import ANSWERED
from moduprompt.domain.run.state import RunState
from moduprompt.protocol import ApprovalId

# Of one run: programs ask for the few calls that they make at once. One that asks without end waits for
# ever, as it would if nobody answered; what it asked is in the log.
OPEN_MAX: Final = 100

WITHDRAWN: Final = "its program wants no answer any more"
ASKED_ANEW: Final = "its program asked anew under the same name"

Heard: TypeAlias = (
    ApprovalAsked | ApprovalAnswered | RunPermissionAsked | RunPermissionWithdrawn | RunExited | RunLost
)


def react(event: Heard, world: World, context: Context) -> list[Event]:
    """A question opens an approval; one that is taken back, or whose program is gone, closes it."""
    match event:
        case RunPermissionAsked():
            return _asked(event, world, context)
        case RunPermissionWithdrawn():
            gone = [a for a in open_questions(event.run_id, world) if is_about(a, event.request_id)]
            return [ApprovalWithdrawn(approval_id=each.approval_id, reason=WITHDRAWN) for each in gone]
        case ApprovalAsked():
            return _asked_in_one_breath(event, world)
        case ApprovalAnswered():
            return _goes_on(event, world)
        case RunExited() | RunLost():
            reason = f"run {event.run_id} has ended"
            waiting = open_questions(event.run_id, world)
            return [ApprovalWithdrawn(approval_id=each.approval_id, reason=reason) for each in waiting]
        case _:
            assert_never(event)


def _asked(event: RunPermissionAsked, world: World, context: Context) -> list[Event]:
    run = world.find(RunState, event.run_id)
    waiting = open_questions(event.run_id, world)
    if run is None or len(waiting) >= OPEN_MAX or any(is_about(a, event.request_id) for a in waiting):
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


def _asked_in_one_breath(event: ApprovalAsked, world: World) -> list[Event]:
    """What was asked and taken back, or asked twice, before any of it had an approval: one question has one at most."""
    run = world.find(RunState, event.run_id)
    if run is not None and event.request_id in run.withdrawn:
        return [ApprovalWithdrawn(approval_id=event.approval_id, reason=WITHDRAWN)]
    return [
        ApprovalWithdrawn(approval_id=each.approval_id, reason=ASKED_ANEW)
        for each in open_questions(event.run_id, world)
        if is_about(each, event.request_id) and each.approval_id != event.approval_id
    ]


def _goes_on(event: ApprovalAnswered, world: World) -> list[Event]:
    """Its program stood still for this and has its answer: it works, though it may be long until it says anything."""
    approval = world.find(ApprovalState, event.approval_id)
    question = approval.question if approval else None
    run = world.find(RunState, question.run_id) if question else None
    if event.how != "given" or run is None or not run.is_live() or run.observed != "blocked_on_permission":
        return []
    if open_questions(run.run_id, world):
        return []
    evidence = f"the answer to approval {event.approval_id} was given to it"
    return [
        RunStatusObserved(
            run_id=run.run_id, status="working", rule=ANSWERED, rule_version=1, evidence=evidence
        )
    ]
