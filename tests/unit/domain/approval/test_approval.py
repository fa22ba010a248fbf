"""Approvals: a user's word, given once, taken back once."""

from __future__ import annotations

from moduprompt.domain.approval.commands import DenyApproval, GrantApproval, RevokeApproval
from moduprompt.domain.approval.events import ApprovalDenied, ApprovalGranted, ApprovalRevoked
from moduprompt.domain.approval.view import ApprovalItem
from moduprompt.domain.gate.commands import RequestApproval
from moduprompt.domain.gate.state import GateState
from moduprompt.protocol import Actor, ApprovalId, UserId
from tests.support.domain import KERNEL, OTHER, OWNER, WORKSPACE, Outcome, Scene, an_id
from tests.support.stories import a_project, a_task, stage, waiting_approvals

USER = UserId(OWNER.id)
AGENT = Actor(kind="session", id=an_id(0xC1))


def an_approval(scene: Scene, *, needed: int = 1) -> ApprovalId:
    """Asked for ahead: no task waits for it yet."""
    stages = (stage("build"), stage("ship", gates=1, needed=needed))
    task_id = a_task(scene, a_project(scene), stages=stages)
    gate = next(iter(scene.world.related(GateState, task_id)))
    scene.when(RequestApproval(workspace_id=WORKSPACE, gate_id=gate.gate_id, reason="please"))
    return waiting_approvals(scene)[0]


def grant(scene: Scene, approval: ApprovalId, actor: Actor = OWNER) -> Outcome:
    return scene.when(GrantApproval(workspace_id=WORKSPACE, approval_id=approval), actor=actor)


def deny(scene: Scene, approval: ApprovalId, actor: Actor = OWNER) -> Outcome:
    return scene.when(DenyApproval(workspace_id=WORKSPACE, approval_id=approval), actor=actor)


def revoke(scene: Scene, approval: ApprovalId, actor: Actor = OWNER) -> Outcome:
    return scene.when(RevokeApproval(workspace_id=WORKSPACE, approval_id=approval), actor=actor)


def test_a_yes_is_said_once() -> None:
    scene = Scene()
    approval = an_approval(scene)
    assert grant(scene, approval).events[0] == ApprovalGranted(approval_id=approval, user_id=USER)
    grant(scene, approval).then_nothing()
    grant(scene, approval, OTHER).then_nothing()
    deny(scene, approval).refused("approval_decided")


def test_a_no_is_said_once_and_stands() -> None:
    scene = Scene()
    approval = an_approval(scene)
    deny(scene, approval).then(ApprovalDenied(approval_id=approval, user_id=USER))
    deny(scene, approval).then_nothing()
    grant(scene, approval).refused("approval_decided")
    revoke(scene, approval).refused("approval_not_granted")


def test_a_yes_is_taken_back_once_and_not_given_again() -> None:
    scene = Scene()
    approval = an_approval(scene)
    revoke(scene, approval).refused("approval_not_granted")
    grant(scene, approval)
    assert revoke(scene, approval, OTHER).events[0] == ApprovalRevoked(
        approval_id=approval, user_id=UserId(OTHER.id)
    )
    revoke(scene, approval).then_nothing()
    grant(scene, approval).refused("approval_decided")


def test_only_a_users_word_counts() -> None:
    scene = Scene()
    approval = an_approval(scene)
    for actor in (KERNEL, AGENT):
        for say in (grant, deny, revoke):
            say(scene, approval, actor).refused("not_a_user")


def test_one_person_is_not_two() -> None:
    scene = Scene()
    grant(scene, an_approval(scene, needed=2)).then_wires("approval.granted", "approval.requested")
    (second,) = waiting_approvals(scene)
    grant(scene, second).refused("second_person_needed")
    grant(scene, second, OTHER).then_wires("approval.granted", "gate.satisfied")


def test_an_approval_is_shown_with_who_asked_and_who_decided() -> None:
    scene = Scene()
    approval = an_approval(scene)
    row = scene.row(ApprovalItem, approval)
    assert (row.status, row.reason, row.stage, row.requested_by) == (
        "requested", "please", "ship", f"user:{OWNER.id}",
    )  # fmt: skip
    grant(scene, approval)
    scene.when(RevokeApproval(workspace_id=WORKSPACE, approval_id=approval, reason="wait"), actor=OTHER)
    row = scene.row(ApprovalItem, approval)
    assert (row.status, row.decided_by, row.decision_reason, row.version) == ("revoked", OTHER.id, "wait", 3)
