"""Which conversation a run carries on, and that it is chosen once."""

from __future__ import annotations

import pytest

from moduprompt.domain.capsule.commands import WriteCapsule
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import Begun, ReportConversation, StartRun
from moduprompt.domain.run.conversations import Earlier
from moduprompt.domain.run.events import RunConversationChosen, RunRequested
from moduprompt.domain.run.intents import KeepRun
from moduprompt.domain.session.commands import ForkSession
from moduprompt.domain.task.commands import AssignTask, CreateTask, StartTask
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import RunId, SessionId, TaskId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene, text_ref
from tests.support.stories import (
    a_project,
    a_session,
    a_working_session,
    exited,
    its_run,
    its_tree,
    made,
    started,
)


def start(scene: Scene, session_id: SessionId, *, resume: bool = True, prompt: str | None = None) -> Outcome:
    return scene.when(StartRun(workspace_id=WORKSPACE, session_id=session_id, resume=resume, prompt=prompt))


def chosen(scene: Scene, run_id: RunId, begun: Begun = "carried_on", *, name: str | None = "talk") -> Outcome:
    told = ReportConversation(
        workspace_id=WORKSPACE, run_id=run_id, begun=begun, why="so it is", conversation_id=name
    )
    return scene.when(told, actor=KERNEL)


def earlier_of(scene: Scene, run_id: RunId) -> Earlier | None:
    (keep,) = (each for each in scene.intents() if isinstance(each, KeepRun) and each.run_id == run_id)
    return keep.earlier


def a_rested_session(scene: Scene) -> tuple[SessionId, RunId]:
    """A session whose first run is over."""
    session_id = a_working_session(scene)
    run_id = its_run(scene, session_id)
    exited(scene, run_id)
    return session_id, run_id


def test_a_run_carries_on_only_when_it_is_asked_for() -> None:
    scene = Scene()
    session_id, _ = a_rested_session(scene)

    assert start(scene, session_id, resume=False).one(RunRequested).resumes is None


def test_a_run_that_is_asked_to_carries_the_last_one_on() -> None:
    scene = Scene()
    session_id, first = a_rested_session(scene)

    second = start(scene, session_id, prompt="now the tests").one(RunRequested)

    assert (second.resumes, second.prompt) == (first, text_ref("now the tests"))
    earlier = earlier_of(scene, second.run_id)
    assert earlier is not None
    assert (earlier.run_id, earlier.session_id, earlier.chosen) == (first, session_id, None)
    assert earlier.cwd == f"/srv/trees/{its_tree(scene, session_id)}"


def test_two_who_ask_at_once_get_one_run() -> None:
    scene = Scene()
    session_id, _ = a_rested_session(scene)

    start(scene, session_id)
    start(scene, session_id).refused("run_live")


def test_what_was_chosen_is_never_chosen_again() -> None:
    """A hand that was killed behind its report starts the program with what it has reported."""
    scene = Scene()
    session_id, first = a_rested_session(scene)
    run_id = RunId(start(scene, session_id).one(RunRequested).run_id)

    assert chosen(scene, run_id).one(RunConversationChosen).conversation_id == "talk"
    chosen(scene, run_id, "fresh", name=None).then_nothing()
    earlier = earlier_of(scene, run_id)
    assert earlier is not None
    assert (earlier.chosen, earlier.conversation_id, earlier.run_id) == ("carried_on", "talk", first)


@pytest.mark.parametrize(("begun", "name"), [("carried_on", "talk"), ("fresh", None)])
def test_a_run_that_has_started_is_still_known_by_what_it_carries_on(begun: Begun, name: str | None) -> None:
    """Whoever listens to it next has to know how it was begun."""
    scene = Scene()
    session_id, _ = a_rested_session(scene)
    run_id = RunId(start(scene, session_id).one(RunRequested).run_id)
    chosen(scene, run_id, begun, name=name)
    started(scene, run_id)

    (keep,) = (each for each in scene.intents() if isinstance(each, KeepRun) and each.run_id == run_id)
    assert (keep.earlier, keep.carries_on) == (None, name)


def test_of_a_run_that_carries_nothing_on_no_choice_is_recorded() -> None:
    scene = Scene()
    session_id = a_session(scene)

    chosen(scene, its_run(scene, session_id)).then_nothing()


def test_a_conversation_goes_on_over_runs_that_carried_it_on() -> None:
    scene = Scene()
    session_id, _ = a_rested_session(scene)
    second = RunId(start(scene, session_id).one(RunRequested).run_id)
    chosen(scene, second)
    exited(scene, second)

    third = start(scene, session_id).one(RunRequested)

    assert third.resumes == second
    earlier = earlier_of(scene, third.run_id)
    assert earlier is not None
    assert earlier.conversation_id == "talk"


def test_a_fork_carries_on_what_its_source_has_said() -> None:
    scene = Scene()
    session_id, first = a_rested_session(scene)
    fork = ForkSession(workspace_id=WORKSPACE, session_id=session_id, name="other")
    forked = SessionId(scene.when(fork).subject())
    made(scene, its_tree(scene, forked))

    earlier = earlier_of(scene, its_run(scene, forked))

    assert earlier is not None
    assert (earlier.run_id, earlier.session_id) == (first, session_id)


def test_what_a_session_says_of_itself_is_handed_on_with_its_conversation() -> None:
    scene = Scene()
    session_id, _ = a_rested_session(scene)
    scene.when(
        WriteCapsule(workspace_id=WORKSPACE, session_id=session_id, capsule_kind="plan", account="first this")
    )
    run_id = RunId(start(scene, session_id).one(RunRequested).run_id)

    earlier = earlier_of(scene, run_id)

    assert earlier is not None
    assert [(each.kind, each.text) for each in earlier.capsules] == [("plan", text_ref("first this"))]


def attempt_again(scene: Scene, *, carry_on: bool) -> RunRequested:
    """The run of a task's second attempt."""
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)
    create = CreateTask(
        workspace_id=WORKSPACE,
        project_id=project_id,
        title="a change",
        retry=RetryRule(max_attempts=2, delay_s=0),
        carry_on=carry_on,
    )
    task_id = TaskId(scene.when(create).subject())
    scene.when(AssignTask(workspace_id=WORKSPACE, task_id=task_id, session_id=session_id))
    scene.when(StartTask(workspace_id=WORKSPACE, task_id=task_id))
    exited(scene, its_run(scene, session_id), code=1, failure=FailureClass.LOST)
    for timer in scene.timers():
        scene.when(timer.command, actor=KERNEL)
    task = scene.world.find(TaskState, task_id)
    assert task is not None
    assert task.attempt == 2
    live = its_run(scene, session_id)
    return next(each for each in scene.history if isinstance(each, RunRequested) and each.run_id == live)


def test_a_tasks_other_attempt_carries_on_where_its_rule_says_so() -> None:
    assert attempt_again(Scene(), carry_on=True).resumes is not None


def test_and_only_where_its_rule_says_so() -> None:
    assert attempt_again(Scene(), carry_on=False).resumes is None
