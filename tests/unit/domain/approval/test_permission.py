"""What a program asks is asked of a person, in order; a person's word goes back to it once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from moduprompt.domain.approval.commands import (
    AnswerEnd,
    DenyApproval,
    GrantApproval,
    ReportAnswered,
    RevokeApproval,
)
from moduprompt.domain.approval.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalDenied,
    ApprovalGranted,
    ApprovalWithdrawn,
)
from moduprompt.domain.approval.intents import AnswerPermission
from moduprompt.domain.approval.reactions import OPEN_MAX
from moduprompt.domain.approval.view import ApprovalItem
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.run.commands import ReportLost, ReportSaid
from moduprompt.domain.run.said import (
    OptionKind,
    PermissionAsked,
    PermissionOption,
    PermissionWithdrawn,
    Said,
)
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import Actor, ApprovalId, RunId, UserId
from moduprompt.views.board import VIEW as BOARD
from moduprompt.views.board_rows import BoardNode
from tests.support.domain import KERNEL, OWNER, WORKSPACE, Outcome, Scene
from tests.support.stories import a_working_session, exited, its_run, waiting_approvals

USER = UserId(OWNER.id)
KINDS: tuple[OptionKind, ...] = ("reject_always", "allow_always", "allow_once", "reject_once")


def asked(request_id: str, *, kinds: tuple[OptionKind, ...] = KINDS) -> PermissionAsked:
    """A program's question, with an option of each kind, named in the program's own way."""
    options = tuple(PermissionOption(id=f"o-{kind}", kind=kind, label=kind) for kind in kinds)
    return PermissionAsked(request_id=request_id, tool="Write", arguments_digest="0" * 64, options=options)


def told(scene: Scene, run_id: RunId, *said: Said) -> Outcome:
    run = scene.world.find(RunState, run_id)
    assert run is not None
    report = ReportSaid(workspace_id=WORKSPACE, run_id=run_id, upto=run.said_upto + 10, said=said)
    return scene.when(report, actor=KERNEL)


def a_question(scene: Scene, *, kinds: tuple[OptionKind, ...] = KINDS) -> tuple[RunId, ApprovalId]:
    run_id = its_run(scene, a_working_session(scene))
    told(scene, run_id, asked("r1", kinds=kinds))
    return run_id, waiting_approvals(scene)[0]


def grant(scene: Scene, id_: ApprovalId, option: str | None = None, actor: Actor = OWNER) -> Outcome:
    order = GrantApproval(workspace_id=WORKSPACE, approval_id=id_, option=option)
    return scene.when(order, actor=actor)


def deny(scene: Scene, id_: ApprovalId, option: str | None = None) -> Outcome:
    return scene.when(DenyApproval(workspace_id=WORKSPACE, approval_id=id_, option=option))


def reported(scene: Scene, id_: ApprovalId, how: AnswerEnd = "given") -> Outcome:
    report = ReportAnswered(workspace_id=WORKSPACE, approval_id=id_, how=how, evidence="42 bytes")
    return scene.when(report, actor=KERNEL)


def answers(scene: Scene, id_: ApprovalId) -> list[AnswerPermission]:
    return [e for e in scene.intents() if isinstance(e, AnswerPermission) and e.approval_id == id_]


def test_a_question_becomes_an_approval_of_its_own() -> None:
    scene = Scene()
    run_id = its_run(scene, a_working_session(scene))
    outcome = told(scene, run_id, asked("r1"))
    outcome.then_wires("run.permission_asked", "approval.asked")
    opened = outcome.one(ApprovalAsked)
    assert (opened.run_id, opened.request_id, opened.tool) == (run_id, "r1", "Write")
    assert [each.kind for each in opened.options] == list(KINDS)


def test_questions_open_in_the_order_in_which_they_were_asked() -> None:
    scene = Scene()
    run_id = its_run(scene, a_working_session(scene))
    told(scene, run_id, asked("r2"), asked("r1"))
    told(scene, run_id, asked("r3"))
    rows = [scene.row(ApprovalItem, each) for each in waiting_approvals(scene)]
    assert [row.request_id for row in rows] == ["r2", "r1", "r3"]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [(None, "o-allow_once"), ("allow_always", "o-allow_always"), ("o-allow_always", "o-allow_always")],
)
def test_a_yes_holds_once_unless_more_is_said(wanted: str | None, chosen: str) -> None:
    scene = Scene()
    _, id_ = a_question(scene)
    grant(scene, id_, wanted).then(ApprovalGranted(approval_id=id_, user_id=USER, option=chosen))
    grant(scene, id_).then_nothing()
    deny(scene, id_).refused("approval_decided")


@pytest.mark.parametrize(
    ("wanted", "chosen"), [(None, "o-reject_once"), ("reject_always", "o-reject_always")]
)
def test_a_no_holds_once_unless_more_is_said(wanted: str | None, chosen: str) -> None:
    scene = Scene()
    _, id_ = a_question(scene)
    deny(scene, id_, wanted).then(ApprovalDenied(approval_id=id_, user_id=USER, option=chosen))


def test_where_nothing_holds_once_only_the_first_fitting_option_is_taken() -> None:
    scene = Scene()
    _, id_ = a_question(scene, kinds=("reject_always", "allow_always"))
    assert grant(scene, id_).one(ApprovalGranted).option == "o-allow_always"


def test_an_answer_for_ever_that_calls_itself_once_is_taken_by_nobody_by_accident() -> None:
    scene = Scene()
    run_id = its_run(scene, a_working_session(scene))
    options = (
        PermissionOption(id="allow_once", kind="allow_always", label="Yes"),
        PermissionOption(id="reject_once", kind="reject_always", label="No"),
        PermissionOption(id="y", kind="allow_once", label="Yes"),
        PermissionOption(id="n", kind="reject_once", label="No"),
    )
    question = PermissionAsked(request_id="r", tool="Bash", arguments_digest="0" * 64, options=options)
    told(scene, run_id, question)
    (yes,) = waiting_approvals(scene)
    assert grant(scene, yes).one(ApprovalGranted).option == "y"

    told(scene, run_id, replace(question, request_id="s"), replace(question, request_id="t"))
    no, named = waiting_approvals(scene)
    assert deny(scene, no).one(ApprovalDenied).option == "n"
    assert grant(scene, named, "allow_once").one(ApprovalGranted).option == "y"


def test_an_option_that_is_not_offered_is_refused_with_those_that_are() -> None:
    scene = Scene()
    _, id_ = a_question(scene)
    for refused in (grant(scene, id_, "o-reject_once"), grant(scene, id_, "for_ever")):
        hint = refused.refused("option_not_offered").hint
        assert hint == "there are: o-allow_always (allow_always), o-allow_once (allow_once)"
    assert waiting_approvals(scene) == [id_]


def test_a_yes_that_the_program_does_not_take_is_refused() -> None:
    scene = Scene()
    _, id_ = a_question(scene, kinds=("reject_once",))
    grant(scene, id_).refused("option_not_offered")
    deny(scene, id_).then_wires("approval.denied")


def test_the_answer_is_wanted_until_the_program_has_it() -> None:
    scene = Scene()
    run_id, id_ = a_question(scene)
    assert not answers(scene, id_)
    grant(scene, id_)
    (wanted,) = answers(scene, id_)
    assert (wanted.run_id, wanted.request_id, wanted.option) == (run_id, "r1", "o-allow_once")
    reported(scene, id_).then(ApprovalAnswered(approval_id=id_, how="given", evidence="42 bytes"))
    reported(scene, id_, "not_taken").then_nothing()
    assert not answers(scene, id_)
    assert scene.row(ApprovalItem, id_).answered == "given"


def test_a_report_about_an_undecided_question_says_nothing() -> None:
    scene = Scene()
    _, id_ = a_question(scene)
    reported(scene, id_).then_nothing()


def test_a_question_that_is_taken_back_is_closed_where_all_can_see_it() -> None:
    scene = Scene()
    run_id = its_run(scene, a_working_session(scene))
    told(scene, run_id, asked("r1"), asked("r2"))
    first, second = waiting_approvals(scene)
    gone = told(scene, run_id, PermissionWithdrawn(request_id="r1")).one(ApprovalWithdrawn)
    assert gone.approval_id == first
    assert waiting_approvals(scene) == [second]
    grant(scene, first).refused("approval_decided")
    assert scene.row(ApprovalItem, first).status == "withdrawn"


@pytest.mark.parametrize("is_lost", [False, True])
def test_the_end_of_a_run_closes_what_it_asked(is_lost: bool) -> None:
    scene = Scene()
    run_id, first = a_question(scene)
    told(scene, run_id, asked("r2"))
    _, second = waiting_approvals(scene)
    grant(scene, first)
    if is_lost:
        scene.when(ReportLost(workspace_id=WORKSPACE, run_id=run_id, evidence="gone"), actor=KERNEL)
    else:
        exited(scene, run_id)
    assert scene.row(ApprovalItem, second).status == "withdrawn"
    assert scene.row(ApprovalItem, first).status == "granted"
    assert not answers(scene, first), "nobody is left to be told"


def test_a_name_that_is_used_again_opens_another_approval() -> None:
    scene = Scene()
    run_id, first = a_question(scene)
    told(scene, run_id, asked("r1")).then_wires("run.permission_asked")
    grant(scene, first)
    told(scene, run_id, asked("r1")).then_wires("run.permission_asked", "approval.asked")


def test_what_a_program_asks_without_end_is_not_asked_of_people_without_end() -> None:
    scene = Scene()
    run_id = its_run(scene, a_working_session(scene))
    for number in range(OPEN_MAX + 5):
        told(scene, run_id, asked(f"r{number}"))
    assert len(waiting_approvals(scene)) == OPEN_MAX


def test_a_session_never_answers_and_neither_does_the_kernel() -> None:
    scene = Scene()
    run_id, id_ = a_question(scene)
    run = scene.world.find(RunState, run_id)
    assert run is not None
    for actor in (KERNEL, Actor(kind="session", id=run.session_id)):
        grant(scene, id_, actor=actor).refused("not_a_user")


def test_a_program_that_was_told_yes_can_not_be_told_otherwise() -> None:
    scene = Scene()
    run_id, id_ = a_question(scene)
    grant(scene, id_)
    revoked = scene.when(RevokeApproval(workspace_id=WORKSPACE, approval_id=id_))
    hint = revoked.refused("permission_given").hint
    run = scene.world.find(RunState, run_id)
    assert run is not None
    assert hint == f"end what it does: mpctl run stop {run.run_id}"


def test_the_board_says_who_can_unblock_a_session_that_asks() -> None:
    scene = Scene(views=(*VIEWS, BOARD))
    _, id_ = a_question(scene)
    session = next(iter(scene.world.every(SessionState)))
    (wait,) = scene.row(BoardNode, session.session_id).waits
    assert (wait.on, wait.what) == ("owner", "worker may use Write?")
    assert wait.command == f"mpctl approval grant {id_[-8:]}"
    grant(scene, id_)
    assert not scene.row(BoardNode, session.session_id).waits


def test_a_question_that_is_taken_back_in_the_same_breath_is_closed_too() -> None:
    scene = Scene()
    run_id = its_run(scene, a_working_session(scene))
    outcome = told(scene, run_id, asked("r1"), PermissionWithdrawn(request_id="r1"))
    assert [event.wire for event in outcome.events][-2:] == ["approval.asked", "approval.withdrawn"]
    told(scene, run_id, asked("r1")).then_wires("run.permission_asked", "approval.asked")
