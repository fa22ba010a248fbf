"""A session's own orders: prompts on their way, its name, its end, and how it is shown."""

from __future__ import annotations

from moduprompt.domain.session.commands import CloseSession, PromptSession, RenameSession, ReportPrompt
from moduprompt.domain.session.events import (
    PromptPlaced,
    PromptSubmitted,
    PromptUncertain,
    SessionClosed,
    SessionRenamed,
)
from moduprompt.domain.session.prompting import PROMPTS_MAX
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.session.view import PROMPTS_SHOWN, SessionItem
from moduprompt.protocol import PromptId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene, an_id, text_ref
from tests.support.stories import (
    a_project,
    a_prompt,
    a_session,
    a_waiting_session,
    a_working_session,
    its_tree,
    made,
)


def prompt(scene: Scene, session_id: SessionId) -> Outcome:
    return scene.when(PromptSession(workspace_id=WORKSPACE, session_id=session_id, prompt="go on"))


def placed(scene: Scene, session_id: SessionId, prompt_id: PromptId) -> Outcome:
    command = ReportPrompt(
        workspace_id=WORKSPACE, session_id=session_id, prompt_id=prompt_id, outcome="placed"
    )
    return scene.when(command, actor=KERNEL)


def submitted(scene: Scene, session_id: SessionId, prompt_id: PromptId) -> Outcome:
    command = ReportPrompt(
        workspace_id=WORKSPACE, session_id=session_id, prompt_id=prompt_id, outcome="submitted"
    )
    return scene.when(command, actor=KERNEL)


def uncertain(scene: Scene, session_id: SessionId, prompt_id: PromptId, evidence: str = "") -> Outcome:
    command = ReportPrompt(
        workspace_id=WORKSPACE,
        session_id=session_id,
        prompt_id=prompt_id,
        outcome="uncertain",
        evidence=evidence,
    )
    return scene.when(command, actor=KERNEL)


def close(scene: Scene, session_id: SessionId) -> Outcome:
    return scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))


def test_prompts_wait_in_the_order_in_which_they_were_accepted() -> None:
    scene = Scene()
    session_id = a_session(scene)
    ids = [a_prompt(scene, session_id, text) for text in ("one", "two")]
    waiting = scene.state(SessionState, session_id).prompts
    assert [(each.prompt_id, each.text) for each in waiting] == [
        (ids[0], text_ref("one")),
        (ids[1], text_ref("two")),
    ]


def test_a_prompt_is_placed_and_then_submitted_each_once() -> None:
    scene = Scene()
    session_id = a_session(scene)
    prompt_id = a_prompt(scene, session_id)
    placed(scene, session_id, prompt_id).then(PromptPlaced(session_id=session_id, prompt_id=prompt_id))
    placed(scene, session_id, prompt_id).then_nothing()
    submitted(scene, session_id, prompt_id).then(PromptSubmitted(session_id=session_id, prompt_id=prompt_id))
    for report in (placed, submitted, uncertain):
        report(scene, session_id, prompt_id).then_nothing()
    assert scene.state(SessionState, session_id).prompts == ()


def test_a_prompt_of_which_nobody_knows_whether_it_was_typed_is_done_with() -> None:
    scene = Scene()
    session_id = a_session(scene)
    prompt_id = a_prompt(scene, session_id)
    placed(scene, session_id, prompt_id)
    uncertain(scene, session_id, prompt_id, "the keeper is gone").then(
        PromptUncertain(session_id=session_id, prompt_id=prompt_id, evidence="the keeper is gone")
    )
    submitted(scene, session_id, prompt_id).then_nothing()


def test_a_report_about_a_prompt_that_is_not_there_decides_nothing() -> None:
    scene = Scene()
    placed(scene, a_session(scene), PromptId(an_id(1))).then_nothing()


def test_a_session_does_not_take_prompts_without_end() -> None:
    scene = Scene()
    session_id = a_session(scene)
    for _ in range(PROMPTS_MAX):
        prompt(scene, session_id).then_wires("session.prompt_accepted")
    prompt(scene, session_id).refused("prompt_queue_full")


def test_a_closed_session_takes_no_prompt() -> None:
    scene = Scene()
    session_id = a_session(scene)
    close(scene, session_id)
    prompt(scene, session_id).refused("session_closed")


def test_a_session_is_renamed_once_per_name() -> None:
    scene = Scene()
    session_id = a_session(scene)
    command = RenameSession(workspace_id=WORKSPACE, session_id=session_id, name="reviewer")
    scene.when(command).then(SessionRenamed(session_id=session_id, name="reviewer"))
    scene.when(command).then_nothing()


def test_closing_a_session_stops_its_run_once() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    close(scene, session_id).then_wires("session.closed", "run.stop_requested")
    close(scene, session_id).then_nothing()


def test_what_waits_in_a_session_that_is_closed_is_taken_back_and_says_so() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    at_the_keyboard, waiting = (a_prompt(scene, session_id) for _ in range(2))
    placed(scene, session_id, at_the_keyboard)

    close(scene, session_id).then_wires("session.closed", "run.stop_requested", "session.prompt_cancelled")

    shown = {each.prompt_id: each for each in scene.row(SessionItem, session_id).prompts}
    assert (shown[waiting].state, shown[waiting].evidence) == ("cancelled", "session closed")
    assert shown[at_the_keyboard].state == "placed", "its keys may have been typed: that is found out"


def test_a_session_that_is_closed_before_it_had_a_place_just_closes() -> None:
    scene = Scene()
    session_id = a_waiting_session(scene, a_project(scene))
    close(scene, session_id).then(SessionClosed(session_id=session_id))


def test_a_session_is_shown_as_it_stands() -> None:
    scene = Scene()
    session_id = a_session(scene)
    ids = [a_prompt(scene, session_id) for _ in range(PROMPTS_SHOWN + 1)]
    placed(scene, session_id, ids[-1])
    submitted(scene, session_id, ids[-2])
    scene.when(RenameSession(workspace_id=WORKSPACE, session_id=session_id, name="reviewer"))
    close(scene, session_id)
    row = scene.row(SessionItem, session_id)
    assert (row.name, row.status, row.worktree_id) == ("reviewer", "closed", its_tree(scene, session_id))
    assert len(row.prompts) == PROMPTS_SHOWN
    assert [each.state for each in row.prompts[-3:]] == ["cancelled", "submitted", "placed"]
    assert row.version == sum(event.subject().id == session_id for event in scene.history)


def test_a_worktree_that_comes_after_its_session_closed_is_kept_but_locked_by_nobody() -> None:
    scene = Scene()
    session_id = a_waiting_session(scene, a_project(scene))
    close(scene, session_id)
    made(scene, its_tree(scene, session_id))
    assert [event.wire for event in scene.history[-2:]] == ["worktree.created", "session.worktree_attached"]
