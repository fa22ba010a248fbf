"""Capsules: one of each kind in a session, the last text counts, and none is longer than its kind allows."""

from __future__ import annotations

import pytest

from moduprompt.domain.capsule.commands import CHARS_MAX, CapsuleKind, WriteCapsule
from moduprompt.domain.capsule.events import CapsuleUpdated
from moduprompt.domain.capsule.state import CapsuleState
from moduprompt.domain.capsule.view import CapsuleItem
from moduprompt.domain.decider import CapsuleFacts
from moduprompt.domain.session.commands import CloseSession
from moduprompt.protocol import CapsuleId, Code, SessionId
from tests.support.domain import WORKSPACE, Outcome, Scene, an_id, text_ref
from tests.support.stories import a_project, a_session


def write(scene: Scene, session_id: SessionId, account: str, *, kind: CapsuleKind = "status") -> Outcome:
    return scene.when(
        WriteCapsule(workspace_id=WORKSPACE, session_id=session_id, capsule_kind=kind, account=account)
    )


def test_a_capsule_holds_its_text_by_reference() -> None:
    scene = Scene()
    session_id = a_session(scene)

    outcome = write(scene, session_id, "half done")

    capsule_id = CapsuleId(outcome.subject())
    outcome.then(
        CapsuleUpdated(
            capsule_id=capsule_id, session_id=session_id, capsule_kind="status", text=text_ref("half done")
        )
    )


def test_a_later_text_takes_the_place_of_the_one_before_and_the_same_one_changes_nothing() -> None:
    scene = Scene()
    session_id = a_session(scene)
    first = write(scene, session_id, "half done").subject()

    second = write(scene, session_id, "done").subject()

    assert first == second
    write(scene, session_id, "done").then()
    (kept,) = scene.world.related(CapsuleState, session_id)
    assert kept.text == text_ref("done")


def test_kinds_and_sessions_have_capsules_of_their_own() -> None:
    scene = Scene()
    project = a_project(scene)
    one, other = a_session(scene, project), a_session(scene, project)

    ids = {
        write(scene, one, "x").subject(),
        write(scene, one, "x", kind="risk").subject(),
        write(scene, other, "x").subject(),
    }

    assert len(ids) == 3


@pytest.mark.parametrize("kind", CHARS_MAX)
def test_the_length_of_its_kind_is_enforced_to_the_character(kind: CapsuleKind) -> None:
    scene = Scene()
    session_id = a_session(scene)

    write(scene, session_id, "ä" * (CHARS_MAX[kind] + 1), kind=kind).refused("capsule_too_long")
    assert write(scene, session_id, "ä" * CHARS_MAX[kind], kind=kind).subject()


def test_a_machine_may_bound_it_otherwise() -> None:
    scene = Scene()
    session_id = a_session(scene)
    order = WriteCapsule(
        workspace_id=WORKSPACE, session_id=session_id, capsule_kind="status", account="12345"
    )

    scene.when(order, observed=CapsuleFacts(chars_max=4)).refused("capsule_too_long")
    assert scene.when(order, observed=CapsuleFacts(chars_max=5)).subject()


def test_there_is_none_of_a_session_that_does_not_exist() -> None:
    outcome = write(Scene(), SessionId(an_id(5)), "x")

    assert outcome.rejection is not None
    assert outcome.rejection.code is Code.NOT_FOUND


def test_a_closed_session_can_still_be_accounted_for() -> None:
    scene = Scene()
    session_id = a_session(scene)
    scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))

    assert write(scene, session_id, "what came of it", kind="decision").subject()


def test_people_see_the_last_text_its_length_and_its_author() -> None:
    scene = Scene()
    session_id = a_session(scene)
    write(scene, session_id, "half done")
    capsule_id = write(scene, session_id, "done").subject()

    item = scene.row(CapsuleItem, capsule_id)

    assert (item.session_id, item.capsule_kind, item.text, item.chars, item.version) == (
        session_id, "status", text_ref("done").ref, 4, 2,
    )  # fmt: skip
    assert item.written_by.startswith("user:")
