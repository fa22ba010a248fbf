"""A status that the kernel makes stands in for one that nobody wrote, and never for one that somebody did."""

from __future__ import annotations

from moduprompt.domain.capsule.commands import ReportMade, WriteCapsule
from moduprompt.domain.capsule.events import CapsuleUpdated
from moduprompt.domain.session.commands import CloseSession
from moduprompt.protocol import RunId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene, text_ref
from tests.support.stories import a_session, its_run


def made(scene: Scene, session_id: SessionId, run_id: RunId, text: str = "it exited") -> Outcome:
    ref = text_ref(text)
    told = ReportMade(
        workspace_id=WORKSPACE, session_id=session_id, run_id=run_id, account=ref.ref, chars=ref.chars
    )
    return scene.when(told, actor=KERNEL)


def written(scene: Scene, session_id: SessionId, text: str) -> Outcome:
    return scene.when(
        WriteCapsule(workspace_id=WORKSPACE, session_id=session_id, capsule_kind="status", account=text)
    )


def test_where_nobody_wrote_one_it_says_what_is_known_of_the_last_run() -> None:
    scene = Scene()
    session_id = a_session(scene)
    run_id = its_run(scene, session_id)

    first = made(scene, session_id, run_id).one(CapsuleUpdated)
    second = made(scene, session_id, run_id, "it exited again").one(CapsuleUpdated)

    assert (first.capsule_kind, first.made_for) == ("status", run_id)
    assert second.capsule_id == first.capsule_id
    made(scene, session_id, run_id, "it exited again").then_nothing()


def test_what_somebody_wrote_stands() -> None:
    scene = Scene()
    session_id = a_session(scene)
    written(scene, session_id, "half done")

    made(scene, session_id, its_run(scene, session_id)).then_nothing()


def test_the_agents_word_takes_the_place_of_what_was_made_even_where_it_is_the_same() -> None:
    scene = Scene()
    session_id = a_session(scene)
    made(scene, session_id, its_run(scene, session_id), "it exited")

    assert written(scene, session_id, "it exited").one(CapsuleUpdated).made_for is None


def test_of_a_closed_session_nothing_is_said_any_more() -> None:
    scene = Scene()
    session_id = a_session(scene)
    run_id = its_run(scene, session_id)
    scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))

    made(scene, session_id, run_id).then_nothing()
