"""What a run wants of its keeper, in every state it can be in, and whom facts wake."""

from __future__ import annotations

from moduprompt.domain.run.commands import ResizeRun, StopRun
from moduprompt.domain.run.intents import EndRun, KeepRun, ResizeTerminal, RunIntent, TypePrompt, woken_by
from moduprompt.domain.session.commands import CloseSession, ReportPrompt
from moduprompt.domain.session.events import PromptAccepted, SessionRenamed
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import PromptId, RunId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Scene, an_id, text_ref
from tests.support.stories import (
    a_prompt,
    a_session,
    a_working_session,
    exited,
    its_run,
    its_tree,
    observed,
    started,
)


def wanted(scene: Scene) -> list[RunIntent]:
    return [each for each in scene.intents() if isinstance(each, RunIntent)]


def typing(scene: Scene) -> list[tuple[PromptId, bool]]:
    return [(each.prompt_id, each.is_placed) for each in wanted(scene) if isinstance(each, TypePrompt)]


def place(scene: Scene, session_id: SessionId, prompt_id: PromptId) -> None:
    command = ReportPrompt(
        workspace_id=WORKSPACE, session_id=session_id, prompt_id=prompt_id, outcome="placed"
    )
    scene.when(command, actor=KERNEL)


def waiting(scene: Scene) -> tuple[SessionId, RunId]:
    session_id = a_working_session(scene)
    run = its_run(scene, session_id)
    observed(scene, run, "waiting_input")
    return session_id, run


def test_a_run_is_kept_from_before_its_start_until_its_end() -> None:
    scene = Scene()
    session_id = a_session(scene)
    run = its_run(scene, session_id)
    (kept,) = wanted(scene)
    assert isinstance(kept, KeepRun)
    assert kept.name == f"run/{run}/keep"
    assert kept.cwd == scene.state(WorktreeState, its_tree(scene, session_id)).path
    assert (kept.prompt, kept.is_started) == (text_ref("make it so"), False)
    started(scene, run)
    kept = wanted(scene)[0]
    assert isinstance(kept, KeepRun)
    assert kept.is_started
    exited(scene, run)
    assert wanted(scene) == []


def test_a_terminal_has_its_size_while_the_program_runs() -> None:
    scene = Scene()
    run = its_run(scene, a_working_session(scene))
    scene.when(ResizeRun(workspace_id=WORKSPACE, run_id=run, rows=50, cols=100))
    sizes = [each for each in wanted(scene) if isinstance(each, ResizeTerminal)]
    assert [(each.name, each.rows, each.cols) for each in sizes] == [(f"run/{run}/size/50x100", 50, 100)]


def test_a_run_that_shall_end_is_ended_whether_it_started_or_not() -> None:
    scene = Scene()
    run = its_run(scene, a_session(scene))
    scene.when(StopRun(workspace_id=WORKSPACE, run_id=run))
    assert [each.name for each in wanted(scene) if isinstance(each, EndRun)] == [f"run/{run}/stop"]
    exited(scene, run)
    assert wanted(scene) == []


def test_the_first_prompt_is_typed_when_the_program_asks_for_input() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    first = a_prompt(scene, session_id)
    a_prompt(scene, session_id)
    assert typing(scene) == []
    observed(scene, its_run(scene, session_id), "waiting_input")
    assert typing(scene) == [(first, False)]


def test_a_prompt_is_not_typed_into_a_question_about_permission() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    a_prompt(scene, session_id)
    observed(scene, its_run(scene, session_id), "blocked_on_permission")
    assert typing(scene) == []


def test_a_prompt_whose_turn_came_is_followed_up_whatever_is_seen() -> None:
    scene = Scene()
    session_id, run = waiting(scene)
    prompt_id = a_prompt(scene, session_id)
    place(scene, session_id, prompt_id)
    observed(scene, run, "working")
    assert typing(scene) == [(prompt_id, True)]
    scene.when(StopRun(workspace_id=WORKSPACE, run_id=run))
    assert typing(scene) == [(prompt_id, True)]


def test_nothing_new_is_typed_into_a_run_that_shall_end() -> None:
    scene = Scene()
    session_id, run = waiting(scene)
    a_prompt(scene, session_id)
    scene.when(StopRun(workspace_id=WORKSPACE, run_id=run))
    assert typing(scene) == []


def test_nothing_new_is_typed_into_a_closed_session() -> None:
    scene = Scene()
    session_id, _ = waiting(scene)
    a_prompt(scene, session_id)
    scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))
    assert typing(scene) == []


def test_a_prompt_that_was_placed_in_one_run_is_not_typed_in_the_next() -> None:
    scene = Scene()
    session_id, run = waiting(scene)
    place(scene, session_id, a_prompt(scene, session_id))
    exited(scene, run)
    assert typing(scene) == []


def test_a_fact_about_a_session_wakes_its_live_run() -> None:
    scene = Scene()
    session_id, run = waiting(scene)
    accepted = PromptAccepted(session_id=session_id, prompt_id=PromptId(an_id(1)), prompt=text_ref("x"))
    assert woken_by(accepted, scene.world) == (run,)
    exited(scene, run)
    assert woken_by(SessionRenamed(session_id=session_id, name="x"), scene.world) == ()
