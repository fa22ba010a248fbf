"""Artifacts: erased once and for ever, and only where the workspace's events name them."""

from __future__ import annotations

from moduprompt.domain.artifact.commands import EraseArtifact
from moduprompt.domain.artifact.events import ArtifactErased
from moduprompt.domain.artifact.intents import EraseBytes, intents
from moduprompt.domain.artifact.naming import named_by
from moduprompt.domain.artifact.state import ArtifactState
from moduprompt.domain.decider import ArtifactFacts, Observation
from moduprompt.domain.project.events import ProjectRenamed
from moduprompt.domain.run.events import RunOutputRecorded
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.events import PromptAccepted
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import Code, ProjectId, PromptId, RunId, SessionId, TextRef
from moduprompt.storage.hashing import content_hash
from tests.support.domain import WORKSPACE, Outcome, Scene, an_id
from tests.support.stories import a_project, a_session

REF = content_hash(b"a secret")
RUN = RunId(an_id(7))


def erased(scene: Scene, observed: Observation) -> Outcome:
    return scene.when(EraseArtifact(workspace_id=WORKSPACE, ref=REF, reason="why not"), observed=observed)


def test_what_the_workspace_names_is_erased() -> None:
    erased(Scene(), ArtifactFacts(run_id=RUN)).then(ArtifactErased(ref=REF, reason="why not", run_id=RUN))


def test_what_it_does_not_name_is_not_there() -> None:
    outcome = erased(Scene(), None)

    assert outcome.rejection is not None
    assert outcome.rejection.code is Code.NOT_FOUND


def test_erasing_twice_is_a_wish_fulfilled() -> None:
    scene = Scene()
    erased(scene, ArtifactFacts())

    erased(scene, None).then()


def test_it_is_wanted_gone_for_ever_with_what_the_runs_keep_of_it() -> None:
    scene = Scene()
    session_id = a_session(scene, a_project(scene))
    session = scene.world.find(SessionState, session_id)
    assert session is not None
    (run,) = scene.world.related(RunState, session_id)
    prompt = session.prompt
    assert prompt is not None
    own = ArtifactState(ref=prompt.ref, run_id=RUN)

    (wanted,) = intents(own, scene.world)

    assert isinstance(wanted, EraseBytes)
    assert (wanted.ref, wanted.recording_of, wanted.prompt_of) == (prompt.ref, RUN, (run.run_id,))
    assert wanted.name == f"artifact/{WORKSPACE}/{prompt.ref}/erase"


def test_events_name_artifacts_by_type_and_not_by_what_a_text_looks_like() -> None:
    prompt = PromptAccepted(
        session_id=SessionId(an_id(1)), prompt_id=PromptId(an_id(2)), prompt=TextRef(ref=REF, chars=8)
    )
    recording = RunOutputRecorded(run_id=RUN, output_bytes=3, recording=REF)

    assert [(each.ref, each.chars) for each in named_by(prompt)] == [(REF, 8)]
    assert [(each.ref, each.chars) for each in named_by(recording)] == [(REF, None)]
    assert named_by(ProjectRenamed(project_id=ProjectId(an_id(3)), name=REF)) == ()
    assert named_by(ArtifactErased(ref=REF, reason="x")) == ()
