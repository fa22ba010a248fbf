"""A session that is spawned for a task."""

from moduprompt.domain.session.commands import SpawnSession
from moduprompt.domain.session.events import SessionSpawned
from moduprompt.domain.task.commands import CancelTask
from moduprompt.domain.task.events import TaskAssigned
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import ProjectId, TaskId
from tests.support.domain import WORKSPACE, Outcome, Scene
from tests.support.stories import AGENT, a_project, a_task


def spawned_for(scene: Scene, task_id: TaskId, project_id: ProjectId) -> Outcome:
    return scene.when(
        SpawnSession(
            workspace_id=WORKSPACE, project_id=project_id, name="worker", agent=AGENT, task_id=task_id
        )
    )


def test_the_first_session_of_a_task_makes_its_result() -> None:
    scene = Scene()
    project_id = a_project(scene)
    task_id = a_task(scene, project_id)
    outcome = spawned_for(scene, task_id, project_id)
    session_id = outcome.one(SessionSpawned).session_id
    assert outcome.one(TaskAssigned) == TaskAssigned(task_id=task_id, session_id=session_id)
    assert scene.state(TaskState, task_id).session_id == session_id


def test_the_sessions_after_it_help() -> None:
    scene = Scene()
    project_id = a_project(scene)
    task_id = a_task(scene, project_id)
    first = spawned_for(scene, task_id, project_id).one(SessionSpawned).session_id
    assert "task.assigned" not in [event.wire for event in spawned_for(scene, task_id, project_id).events]
    assert scene.state(TaskState, task_id).session_id == first


def test_a_task_that_is_over_is_nobodys_any_more() -> None:
    scene = Scene()
    project_id = a_project(scene)
    task_id = a_task(scene, project_id)
    scene.when(CancelTask(workspace_id=WORKSPACE, task_id=task_id))
    assert "task.assigned" not in [event.wire for event in spawned_for(scene, task_id, project_id).events]


def test_a_task_of_another_project_is_not_taken() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene))
    outcome = spawned_for(scene, task_id, a_project(scene))
    assert "task.assigned" not in [event.wire for event in outcome.events]
