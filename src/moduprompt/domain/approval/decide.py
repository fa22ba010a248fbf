"""Which orders about an approval are taken. Only a user's word counts."""

from itertools import chain
from typing import Literal, TypeAlias, assert_never

from moduprompt.domain.approval.commands import (
    ApprovalCommand,
    DenyApproval,
    GrantApproval,
    ReportAnswered,
    RevokeApproval,
)
from moduprompt.domain.approval.events import (
    ApprovalAnswered,
    ApprovalDenied,
    ApprovalGranted,
    ApprovalRevoked,
)
from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import Context, Decision, World
from moduprompt.domain.run.events import OfferedOption
from moduprompt.protocol import Rejection, UserId, invalid

Word: TypeAlias = Literal["allow", "reject"]
"""How the kinds of the options begin that mean yes, and those that mean no."""


def decide(
    command: ApprovalCommand,
    own: ApprovalState | None,
    world: World,
    context: Context,
) -> Decision:
    """Facts, or why not."""
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    if isinstance(command, ReportAnswered):
        return _answered(command, own)
    if context.actor.kind != "user":
        return invalid(
            "not_a_user",
            f"approval {own.approval_id} needs a user's word",
            hint="wait: mpctl approval list --waiting shows it to those who may",
        )
    user_id = UserId(context.actor.id)
    match command:
        case GrantApproval():
            return _grant(command, own, world=world, user_id=user_id)
        case DenyApproval():
            return _deny(command, own, user_id=user_id)
        case RevokeApproval():
            return _revoke(command, own, user_id=user_id)
        case _:
            assert_never(command)


def _grant(command: GrantApproval, own: ApprovalState, *, world: World, user_id: UserId) -> Decision:
    if own.status == "granted":
        return []
    if own.status != "requested":
        return _decided(own)
    if own.question is None and _has_granted(user_id, own, world):
        return _needs_another(own)
    option = _choice(own, command.option, "allow")
    if isinstance(option, Rejection):
        return option
    return [
        ApprovalGranted(approval_id=own.approval_id, user_id=user_id, reason=command.reason, option=option)
    ]


def _deny(command: DenyApproval, own: ApprovalState, *, user_id: UserId) -> Decision:
    if own.status == "denied":
        return []
    if own.status != "requested":
        return _decided(own)
    option = _choice(own, command.option, "reject")
    if isinstance(option, Rejection):
        return option
    return [
        ApprovalDenied(approval_id=own.approval_id, user_id=user_id, reason=command.reason, option=option)
    ]


def _revoke(command: RevokeApproval, own: ApprovalState, *, user_id: UserId) -> Decision:
    if own.question is not None:
        return invalid(
            "permission_given",
            f"approval {own.approval_id} is a program's question: what it was told can't be taken back",
            hint=f"end what it does: mpctl run stop {own.question.run_id}",
        )
    if own.status == "revoked":
        return []
    if own.status != "granted":
        return invalid(
            "approval_not_granted",
            f"approval {own.approval_id} is {own.status}; only a granted one can be revoked",
            hint=f"mpctl approval {'deny' if own.status == 'requested' else 'show'} {own.approval_id}",
            status=own.status,
        )
    return [ApprovalRevoked(approval_id=own.approval_id, user_id=user_id, reason=command.reason)]


def _answered(command: ReportAnswered, own: ApprovalState) -> Decision:
    if own.question is None or own.question.chosen is None or own.question.answered is not None:
        return []
    return [ApprovalAnswered(approval_id=own.approval_id, how=command.how, evidence=command.evidence)]


def _choice(own: ApprovalState, wanted: str | None, word: Word) -> str | Rejection | None:
    """The option that is meant, by its id; None where there is nothing to choose from."""
    if own.question is None:
        if wanted is None:
            return None
        return invalid(
            "no_options",
            f"approval {own.approval_id} is a yes or a no; it has no options",
            hint="leave --option out",
        )
    fitting = [each for each in own.question.options if each.kind.startswith(word)]
    meant = _meant(fitting, wanted, word)
    if meant is None:
        offered = ", ".join(f"{each.id} ({each.kind})" for each in fitting)
        what = "a yes" if word == "allow" else "a no"
        return invalid(
            "option_not_offered",
            f"approval {own.approval_id} takes no option {wanted!r} for {what}"
            if wanted
            else f"approval {own.approval_id} offers no option for {what}",
            hint=f"there are: {offered}" if offered else f"it offers nothing for {what}",
        )
    return meant.id


def _meant(fitting: list[OfferedOption], wanted: str | None, word: Word) -> OfferedOption | None:
    """By its kind, else by its id; without a wish the one that holds once.

    In this order: a program may call what holds for ever by the name of the kind that holds once.
    """
    by_kind = (each for each in fitting if each.kind == (wanted or f"{word}_once"))
    by_id = (each for each in fitting if each.id == wanted)
    either = fitting[:1] if wanted is None else ()
    return next(chain(by_kind, by_id, either), None)


def _has_granted(user_id: UserId, own: ApprovalState, world: World) -> bool:
    asked = world.related(ApprovalState, own.asker)
    return any(each.status == "granted" and each.user_id == user_id for each in asked)


def _needs_another(own: ApprovalState) -> Decision:
    return invalid(
        "second_person_needed",
        f"approval {own.approval_id} needs somebody else: you have said yes to gate {own.asker} already",
        hint=f"another user says mpctl approval grant {own.approval_id}",
    )


def _decided(own: ApprovalState) -> Decision:
    again = (
        "its program asks anew where it wants to"
        if own.question
        else "propose the stage again to ask anew: mpctl task advance"
    )
    return invalid(
        "approval_decided",
        f"approval {own.approval_id} is {own.status} already",
        hint=again,
        status=own.status,
    )
