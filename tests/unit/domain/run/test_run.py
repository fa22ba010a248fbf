"""A run's life: asked for, started, observed, ended; and what is reported too late or twice."""

from __future__ import annotations

import pytest

from moduprompt.domain.project.commands import ArchiveProject
from moduprompt.domain.run.commands import (
    ReportExited,
    ReportLost,
    ReportStarted,
    ReportStatus,
    ResizeRun,
    StartRun,
    StopRun,
)
from moduprompt.domain.run.events import (
    RunExited,
    RunLost,
    RunOutputRecorded,
    RunRequested,
    RunResized,
    RunStarted,
    RunStopRequested,
)
from moduprompt.domain.run.state import RunState
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import CloseSession, ReportPrompt
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import PromptId, RunId, SessionId, invalid
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene, an_id, text_ref, token_digest
from tests.support.stories import (
    AGENT,
    a_project,
    a_prompt,
    a_session,
    a_waiting_session,
    a_working_session,
    exited,
    its_run,
    its_tree,
    made,
    observed,
    started,
)


def start(scene: Scene, session_id: SessionId) -> Outcome:
    return scene.when(StartRun(workspace_id=WORKSPACE, session_id=session_id))


def stop(scene: Scene, run: RunId) -> Outcome:
    return scene.when(StopRun(workspace_id=WORKSPACE, run_id=run))


def resize(scene: Scene, run: RunId, rows: int, cols: int) -> Outcome:
    return scene.when(ResizeRun(workspace_id=WORKSPACE, run_id=run, rows=rows, cols=cols))


def report_prompt(scene: Scene, session_id: SessionId, prompt_id: PromptId, *, submitted: bool) -> Outcome:
    command = ReportPrompt(
        workspace_id=WORKSPACE,
        session_id=session_id,
        prompt_id=prompt_id,
        outcome="submitted" if submitted else "placed",
    )
    return scene.when(command, actor=KERNEL)


def lose(scene: Scene, run: RunId) -> Outcome:
    return scene.when(ReportLost(workspace_id=WORKSPACE, run_id=run, evidence="no keeper"), actor=KERNEL)


def a_run(scene: Scene) -> RunId:
    return its_run(scene, a_working_session(scene))


def test_a_session_whose_worktree_is_there_gets_the_lease_and_its_first_run() -> None:
    scene = Scene()
    session_id = a_waiting_session(scene, a_project(scene))
    tree = its_tree(scene, session_id)
    before = len(scene.history)
    made(scene, tree)
    followed = scene.history[before:]
    assert [event.wire for event in followed] == [
        "worktree.created",
        "worktree.writer_locked",
        "session.worktree_attached",
        "run.requested",
    ]
    run = followed[-1]
    assert isinstance(run, RunRequested)
    assert run.token_sha256 == token_digest(run.run_id)
    assert (run.session_id, run.worktree_id, run.ordinal) == (session_id, tree, 1)
    assert run.agent == AGENT.to_agent()


def test_a_run_is_started_again_when_the_one_before_has_ended() -> None:
    scene = Scene()
    session_id = a_session(scene)
    start(scene, session_id).refused("run_live")
    exited(scene, its_run(scene, session_id))
    outcome = start(scene, session_id)
    outcome.then_wires("worktree.writer_locked", "run.requested")
    assert outcome.one(RunRequested).ordinal == 2


def test_a_run_needs_an_open_session_in_its_place_and_a_program() -> None:
    scene = Scene()
    start(scene, SessionId(an_id(1))).refused("session", code="not_found")
    session_id = a_waiting_session(scene, a_project(scene))
    start(scene, session_id).refused("no_worktree")
    missing_program = invalid("program_missing", "no program `agent`")
    command = StartRun(workspace_id=WORKSPACE, session_id=session_id)
    scene.when(command, observed=missing_program).refused("program_missing")
    scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))
    start(scene, session_id).refused("session_closed")


def test_a_run_begins_new_work_and_an_archived_project_takes_none() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_session(scene, project_id)
    exited(scene, its_run(scene, session_id))
    scene.when(ArchiveProject(workspace_id=WORKSPACE, project_id=project_id))
    start(scene, session_id).refused("project_archived")


def test_a_start_is_reported_once_and_never_after_the_end() -> None:
    scene = Scene()
    run = its_run(scene, a_session(scene))
    report = ReportStarted(workspace_id=WORKSPACE, run_id=run, pid=7, start_time=9)
    scene.when(report, actor=KERNEL).then(RunStarted(run_id=run, pid=7, start_time=9))
    scene.when(report, actor=KERNEL).then_nothing()
    exited(scene, run)
    scene.when(report, actor=KERNEL).then_nothing()


def test_a_run_is_stopped_once_and_not_after_its_end() -> None:
    scene = Scene()
    run = a_run(scene)
    stop(scene, run).then(RunStopRequested(run_id=run))
    stop(scene, run).then_nothing()
    exited(scene, run)
    stop(scene, run).then_nothing()


def test_a_terminal_is_resized_once_per_size_and_only_while_it_lives() -> None:
    scene = Scene()
    run = a_run(scene)
    resize(scene, run, 50, 100).then(RunResized(run_id=run, rows=50, cols=100))
    resize(scene, run, 50, 100).then_nothing()
    exited(scene, run)
    resize(scene, run, 1, 1).refused("run_ended")


def test_an_observation_is_kept_when_it_says_something_new_of_a_running_program() -> None:
    scene = Scene()
    session_id = a_session(scene)
    run = its_run(scene, session_id)
    report = ReportStatus(
        workspace_id=WORKSPACE, run_id=run, status="working", rule="marker", rule_version=1, evidence="…"
    )
    scene.when(report, actor=KERNEL).then_nothing()
    started(scene, run)
    scene.when(report, actor=KERNEL).then_wires("run.status_observed")
    scene.when(report, actor=KERNEL).then_nothing()
    exited(scene, run)
    scene.when(report, actor=KERNEL).then_nothing()


def test_a_run_ends_once_and_keeps_what_its_terminal_printed() -> None:
    scene = Scene()
    run = a_run(scene)
    recording = text_ref("all of it").ref
    report = ReportExited(
        workspace_id=WORKSPACE, run_id=run, how="exited", code=0, output_bytes=9, recording=recording
    )
    outcome = scene.when(report, actor=KERNEL)
    assert outcome.events[:2] == [
        RunOutputRecorded(run_id=run, output_bytes=9, recording=recording),
        RunExited(run_id=run, how="exited", code=0, output_bytes=9),
    ]
    scene.when(report, actor=KERNEL).then_nothing()
    lose(scene, run).then_nothing()


def test_a_run_that_never_started_can_end_and_be_lost() -> None:
    scene = Scene()
    project_id = a_project(scene)
    first, second = (its_run(scene, a_session(scene, project_id)) for _ in range(2))
    assert exited(scene, first) == ["run.exited", "worktree.writer_released"]
    lose(scene, second).then_wires("run.lost", "worktree.writer_released")
    lose(scene, second).then_nothing()
    assert exited(scene, second) == []


def test_a_lost_run_is_never_running() -> None:
    scene = Scene()
    run = a_run(scene)
    assert lose(scene, run).events[0] == RunLost(run_id=run, evidence="no keeper")
    own = scene.state(RunState, run)
    assert (own.status, own.observed, own.is_live()) == ("lost", "lost", False)


def test_a_submitted_prompt_resets_the_waiting_so_that_the_next_one_waits_for_it() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    run = its_run(scene, session_id)
    observed(scene, run, "waiting_input")
    prompt_id = a_prompt(scene, session_id)
    report_prompt(scene, session_id, prompt_id, submitted=False).then_wires("session.prompt_placed")
    report_prompt(scene, session_id, prompt_id, submitted=True).then_wires(
        "session.prompt_submitted", "run.status_observed"
    )
    assert scene.state(RunState, run).observed == "working"


def test_a_submitted_prompt_says_nothing_of_a_run_that_was_not_waiting() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    observed(scene, its_run(scene, session_id), "rate_limited")
    prompt_id = a_prompt(scene, session_id)
    report_prompt(scene, session_id, prompt_id, submitted=True).then_wires("session.prompt_submitted")


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_prompt_in_the_middle_of_being_typed_is_uncertain_when_its_run_ends(*, is_lost: bool) -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    run = its_run(scene, session_id)
    typed, waiting = a_prompt(scene, session_id), a_prompt(scene, session_id)
    report_prompt(scene, session_id, typed, submitted=False)
    wires = [event.wire for event in lose(scene, run).events] if is_lost else exited(scene, run)
    assert wires[1:] == ["worktree.writer_released", "session.prompt_uncertain"]
    left = scene.state(SessionState, session_id).prompts
    assert [(each.prompt_id, each.is_placed) for each in left] == [(waiting, False)]


def test_a_prompt_whose_turn_comes_after_the_run_has_ended_is_uncertain_at_once() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    prompt_id = a_prompt(scene, session_id)
    exited(scene, its_run(scene, session_id))
    report_prompt(scene, session_id, prompt_id, submitted=False).then_wires(
        "session.prompt_placed", "session.prompt_uncertain"
    )


def test_a_run_is_shown_as_it_stands() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    run = its_run(scene, session_id)
    observed(scene, run, "waiting_input")
    resize(scene, run, 50, 100)
    stop(scene, run)
    row = scene.row(RunItem, run)
    assert (row.status, row.pid, row.observed, row.rule, row.evidence) == (
        "started", 7, "waiting_input", "marker", "> ",
    )  # fmt: skip
    assert (row.rows, row.cols, row.stop_requested) == (50, 100, True)
    report = ReportExited(
        workspace_id=WORKSPACE, run_id=run, how="stopped", signal=15, leftovers=1, recording=text_ref("x").ref
    )
    scene.when(report, actor=KERNEL)
    row = scene.row(RunItem, run)
    assert (row.status, row.how, row.signal, row.leftovers) == ("exited", "stopped", 15, 1)
    assert row.recording == text_ref("x").ref


def test_a_lost_run_is_shown_as_lost_with_the_evidence() -> None:
    scene = Scene()
    run = a_run(scene)
    lose(scene, run)
    row = scene.row(RunItem, run)
    assert (row.status, row.observed, row.evidence) == ("lost", "lost", "no keeper")
