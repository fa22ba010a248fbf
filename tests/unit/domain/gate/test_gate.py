"""Gates: closed from the start, opened by enough people or by a machine, closed again by a revocation."""

from __future__ import annotations

from moduprompt.domain.approval.commands import GrantApproval, RevokeApproval
from moduprompt.domain.approval.events import ApprovalRequested
from moduprompt.domain.gate.commands import RequestApproval, SatisfyGate
from moduprompt.domain.gate.events import GateBlocked, GateSatisfied
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.gate.view import GateItem
from moduprompt.domain.task.stages import GateSpec, StageSpec
from moduprompt.protocol import Actor, ApprovalId, GateId
from tests.support.domain import KERNEL, OTHER, OWNER, WORKSPACE, Outcome, Scene
from tests.support.stories import a_project, a_task, stage, waiting_approvals


def a_gate(scene: Scene, spec: GateSpec | None = None) -> GateId:
    stages = (stage("build"), StageSpec(name="ship", kind="implement", gates=(spec or GateSpec(),)))
    task_id = a_task(scene, a_project(scene), stages=stages)
    return next(iter(scene.world.related(GateState, task_id))).gate_id


def ask(scene: Scene, gate: GateId) -> Outcome:
    return scene.when(RequestApproval(workspace_id=WORKSPACE, gate_id=gate))


def satisfy(scene: Scene, gate: GateId) -> Outcome:
    command = SatisfyGate(workspace_id=WORKSPACE, gate_id=gate, evidence="the hook came")
    return scene.when(command, actor=KERNEL)


def grant(scene: Scene, approval: ApprovalId, actor: Actor = OWNER) -> Outcome:
    return scene.when(GrantApproval(workspace_id=WORKSPACE, approval_id=approval), actor=actor)


def revoke(scene: Scene, approval: ApprovalId) -> Outcome:
    return scene.when(RevokeApproval(workspace_id=WORKSPACE, approval_id=approval))


def is_open(scene: Scene, gate: GateId) -> bool:
    return scene.state(GateState, gate).is_satisfied


def test_a_gate_asks_for_one_approval_at_a_time() -> None:
    scene = Scene()
    gate = a_gate(scene)
    ask(scene, gate).then_wires("approval.requested")
    ask(scene, gate).then_nothing()


def test_an_open_gate_asks_for_nothing() -> None:
    scene = Scene()
    gate = a_gate(scene)
    ask(scene, gate)
    grant(scene, waiting_approvals(scene)[0])
    ask(scene, gate).then_nothing()


def test_a_gate_for_people_is_not_opened_by_a_machine_nor_the_other_way_round() -> None:
    scene = Scene()
    satisfy(scene, a_gate(scene)).refused("gate_kind")
    ask(scene, a_gate(scene, GateSpec(kind="webhook_wait"))).refused("gate_kind")


def test_a_gate_for_a_machine_is_opened_once() -> None:
    scene = Scene()
    gate = a_gate(scene, GateSpec(kind="webhook_wait"))
    satisfy(scene, gate).then(GateSatisfied(gate_id=gate, evidence="the hook came"))
    satisfy(scene, gate).then_nothing()


def test_a_gate_that_needs_two_opens_with_the_second_person() -> None:
    scene = Scene()
    gate = a_gate(scene, GateSpec(approvals_needed=2))
    first = ask(scene, gate).one(ApprovalRequested).approval_id
    second = grant(scene, first).one(ApprovalRequested).approval_id
    assert not is_open(scene, gate)
    outcome = grant(scene, second, OTHER)
    outcome.then_wires("approval.granted", "gate.satisfied")
    assert outcome.one(GateSatisfied).evidence == "2 of 2 approvals granted"
    assert is_open(scene, gate)


def test_a_revoked_approval_closes_the_gate_again_until_somebody_says_yes_anew() -> None:
    scene = Scene()
    gate = a_gate(scene)
    first = ask(scene, gate).one(ApprovalRequested).approval_id
    grant(scene, first)
    before = scene.state(GateState, gate)
    outcome = revoke(scene, first)
    outcome.then_wires("approval.revoked", "gate.blocked")
    assert outcome.one(GateBlocked).task_id == before.task_id
    assert not is_open(scene, gate)
    grant(scene, ask(scene, gate).one(ApprovalRequested).approval_id).then_wires(
        "approval.granted", "gate.satisfied"
    )


def test_a_revocation_before_the_gate_opened_takes_only_its_own_yes() -> None:
    scene = Scene()
    gate = a_gate(scene, GateSpec(approvals_needed=2))
    first = ask(scene, gate).one(ApprovalRequested).approval_id
    second = grant(scene, first).one(ApprovalRequested).approval_id
    revoke(scene, first).then_wires("approval.revoked")
    third = grant(scene, second).one(ApprovalRequested).approval_id
    grant(scene, third, OTHER).then_wires("approval.granted", "gate.satisfied")


def test_a_gate_is_shown_as_it_stands() -> None:
    scene = Scene()
    gate = a_gate(scene)
    created = scene.row(GateItem, gate).created_at
    scene.later(60)
    approval = ask(scene, gate).one(ApprovalRequested).approval_id
    grant(scene, approval)
    row = scene.row(GateItem, gate)
    assert (row.status, row.evidence) == ("satisfied", "1 of 1 approvals granted")
    revoke(scene, approval)
    row = scene.row(GateItem, gate)
    assert (row.status, row.evidence, row.version, row.created_at) == ("blocked", None, 3, created)
