"""Workspaces: who makes them, and that the system's own stays as it is."""

from __future__ import annotations

from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import SpawnSession
from moduprompt.domain.task.commands import CreateTask
from moduprompt.domain.workspace.commands import (
    AdoptWorkspace,
    ArchiveWorkspace,
    CreateWorkspace,
    RenameWorkspace,
)
from moduprompt.domain.workspace.events import (
    WorkspaceAdopted,
    WorkspaceArchived,
    WorkspaceCreated,
    WorkspaceRenamed,
)
from moduprompt.domain.workspace.view import WorkspaceItem
from moduprompt.domain.worktree.commands import CreateWorktree
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.kernel.judgement import EVENTS_MAX
from moduprompt.protocol import SYSTEM_WORKSPACE, UserId, WorkspaceId
from tests.support.domain import KERNEL, OTHER, OWNER, WORKSPACE, Scene
from tests.support.stories import (
    AGENT,
    a_project,
    a_running_task,
    a_waiting_session,
    a_working_session,
    its_run,
    its_tree,
)

CREATED = WorkspaceCreated(workspace_id=WORKSPACE, name="home", owner_id=UserId(OWNER.id))


def test_a_workspace_belongs_to_the_user_who_makes_it() -> None:
    outcome = Scene(SYSTEM_WORKSPACE).when(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="home"))
    outcome.then(
        WorkspaceCreated(workspace_id=WorkspaceId(outcome.subject()), name="home", owner_id=UserId(OWNER.id))
    )


def test_a_workspace_is_made_in_the_system_workspace_only() -> None:
    Scene().when(CreateWorkspace(workspace_id=WORKSPACE, name="home")).refused("wrong_home")


def test_a_workspace_is_owned_by_nobody_but_a_user() -> None:
    scene = Scene(SYSTEM_WORKSPACE)
    command = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="home")
    scene.when(command, actor=KERNEL).refused("owner_is_no_user")


def test_the_system_workspace_is_neither_renamed_nor_archived() -> None:
    created = WorkspaceCreated(workspace_id=SYSTEM_WORKSPACE, name="system", owner_id=UserId(OWNER.id))
    scene = Scene(SYSTEM_WORKSPACE).given(created)
    scene.when(RenameWorkspace(workspace_id=SYSTEM_WORKSPACE, name="x")).refused("system_workspace")
    scene.when(ArchiveWorkspace(workspace_id=SYSTEM_WORKSPACE)).refused("system_workspace")


def test_a_workspace_is_renamed_once_per_name() -> None:
    scene = Scene().given(CREATED)
    scene.when(RenameWorkspace(workspace_id=WORKSPACE, name="house")).then(
        WorkspaceRenamed(workspace_id=WORKSPACE, name="house")
    )
    scene.when(RenameWorkspace(workspace_id=WORKSPACE, name="house")).then_nothing()


def test_a_workspace_is_archived_once() -> None:
    scene = Scene().given(CREATED)
    scene.when(ArchiveWorkspace(workspace_id=WORKSPACE)).then(WorkspaceArchived(workspace_id=WORKSPACE))
    scene.when(ArchiveWorkspace(workspace_id=WORKSPACE)).then_nothing()


def test_nothing_new_begins_in_an_archived_workspace() -> None:
    scene = Scene().given(CREATED)
    project_id = a_project(scene)
    scene.when(ArchiveWorkspace(workspace_id=WORKSPACE))
    for command in (
        CreateProject(workspace_id=WORKSPACE, name="other"),
        CreateTask(workspace_id=WORKSPACE, project_id=project_id, title="t"),
        SpawnSession(workspace_id=WORKSPACE, project_id=project_id, name="s", agent=AGENT),
        CreateWorktree(workspace_id=WORKSPACE, project_id=project_id, branch="b"),
    ):
        scene.when(command).refused("workspace_archived")


def test_what_is_ordered_of_a_workspace_that_is_not_there_is_not_found() -> None:
    Scene().when(ArchiveWorkspace(workspace_id=WORKSPACE)).refused("workspace", code="not_found")


def test_a_workspace_is_shown_as_it_stands() -> None:
    scene = Scene().given(CREATED)
    scene.when(RenameWorkspace(workspace_id=WORKSPACE, name="house"))
    scene.when(ArchiveWorkspace(workspace_id=WORKSPACE))
    row = scene.row(WorkspaceItem, WORKSPACE)
    assert (row.name, row.status, row.version, row.owner_id) == ("house", "archived", 3, OWNER.id)


def test_a_frozen_workspace_belongs_to_whoever_adopts_it() -> None:
    scene = Scene().given(CREATED)
    scene.is_frozen = True
    scene.when(AdoptWorkspace(workspace_id=WORKSPACE), actor=OTHER).then(
        WorkspaceAdopted(workspace_id=WORKSPACE, owner_id=UserId(OTHER.id))
    )
    assert scene.row(WorkspaceItem, WORKSPACE).owner_id == OTHER.id


def test_a_workspace_that_is_not_frozen_is_adopted_already() -> None:
    Scene().given(CREATED).when(AdoptWorkspace(workspace_id=WORKSPACE), actor=OTHER).then_nothing()


def test_a_frozen_workspace_is_adopted_by_users_only() -> None:
    scene = Scene().given(CREATED)
    scene.is_frozen = True
    scene.when(AdoptWorkspace(workspace_id=WORKSPACE), actor=KERNEL).refused("owner_is_no_user")


def test_what_was_under_way_elsewhere_ends_with_the_adoption() -> None:
    scene = Scene().given(CREATED)
    project_id = a_project(scene)
    run_id = its_run(scene, a_working_session(scene, project_id))
    tree_id = its_tree(scene, a_waiting_session(scene, project_id))
    scene.is_frozen = True

    scene.when(AdoptWorkspace(workspace_id=WORKSPACE))

    assert scene.state(RunState, run_id).status == "lost"
    assert scene.state(WorktreeState, tree_id).status == "failed"
    assert scene.intents() == []


def test_a_workspace_full_of_live_runs_can_be_adopted_in_one_decision() -> None:
    scene = Scene(views=()).given(CREATED)
    project_id = a_project(scene)
    runs = 30
    for _ in range(runs):
        a_running_task(scene, project_id, session_id=a_working_session(scene, project_id))
    scene.is_frozen = True

    adopted = scene.when(AdoptWorkspace(workspace_id=WORKSPACE)).events

    a_thousand = (len(adopted) - 1) / runs * 1_000
    assert isinstance(adopted[0], WorkspaceAdopted)
    assert a_thousand < EVENTS_MAX / 4
