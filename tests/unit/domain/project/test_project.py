"""Projects: their repositories are looked at before they are taken."""

from __future__ import annotations

import pytest

from moduprompt.domain.decider import RepositoryFacts
from moduprompt.domain.project.commands import (
    ArchiveProject,
    AttachRepository,
    CreateProject,
    DetachRepository,
    RenameProject,
)
from moduprompt.domain.project.decide import REPOSITORIES_MAX
from moduprompt.domain.project.events import (
    ProjectArchived,
    ProjectCreated,
    ProjectRenamed,
    RepositoryAttached,
    RepositoryDetached,
)
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.project.view import ProjectItem
from moduprompt.protocol import ProjectId, RepositoryId, invalid
from tests.support.domain import WORKSPACE, Scene, an_id
from tests.support.stories import a_project

NOT_GIT = invalid("not_a_repository", "/srv/repo is no git repository")
OTHER_REPOSITORY = RepositoryFacts(path="/srv/other", branch="trunk", head="beef", dirty=True)


def attach(project_id: ProjectId, path: str = "/srv/other") -> AttachRepository:
    return AttachRepository(workspace_id=WORKSPACE, project_id=project_id, repository=path)


def test_a_project_comes_with_the_repository_that_was_seen() -> None:
    outcome = Scene().when(CreateProject(workspace_id=WORKSPACE, name="core", repository="/srv/./repo"))
    project_id = ProjectId(outcome.subject())
    attached = outcome.one(RepositoryAttached)
    assert outcome.events[0] == ProjectCreated(project_id=project_id, name="core")
    assert (attached.path, attached.branch, attached.head) == ("/srv/repo", "main", "c0ffee")


def test_a_project_whose_repository_is_none_is_not_half_made() -> None:
    scene = Scene()
    command = CreateProject(workspace_id=WORKSPACE, name="core", repository="/srv/repo")
    scene.when(command, observed=NOT_GIT).refused("not_a_repository")
    assert scene.history == []


def test_a_project_needs_no_repository() -> None:
    outcome = Scene().when(CreateProject(workspace_id=WORKSPACE, name="core"))
    outcome.then(ProjectCreated(project_id=ProjectId(outcome.subject()), name="core"))


def test_a_repository_is_attached_once() -> None:
    scene = Scene()
    project_id = a_project(scene)
    scene.when(attach(project_id), observed=OTHER_REPOSITORY).then_wires("project.repository_attached")
    scene.when(attach(project_id), observed=OTHER_REPOSITORY).then_nothing()
    scene.when(attach(project_id), observed=NOT_GIT).refused("not_a_repository")


def test_a_project_has_an_end_of_repositories() -> None:
    scene = Scene()
    project_id = a_project(scene)
    for number in range(1, REPOSITORIES_MAX):
        facts = RepositoryFacts(path=f"/srv/{number}", branch="main", head="c0ffee", dirty=False)
        scene.when(attach(project_id, facts.path), observed=facts).then_wires("project.repository_attached")
    scene.when(attach(project_id), observed=OTHER_REPOSITORY).refused("too_many_repositories")


def test_the_first_repository_left_becomes_the_main_one() -> None:
    scene = Scene()
    project_id = a_project(scene)
    scene.when(attach(project_id), observed=OTHER_REPOSITORY)
    first = scene.state(ProjectState, project_id).repositories[0]
    command = DetachRepository(
        workspace_id=WORKSPACE, project_id=project_id, repository_id=first.repository_id
    )
    scene.when(command).then(RepositoryDetached(project_id=project_id, repository_id=first.repository_id))
    main = scene.state(ProjectState, project_id).main_repository()
    assert main is not None
    assert (main.path, main.branch) == ("/srv/other", "trunk")
    scene.when(command).refused("repository", code="not_found")


def test_a_repository_that_was_never_there_is_not_found() -> None:
    scene = Scene()
    command = DetachRepository(
        workspace_id=WORKSPACE, project_id=a_project(scene), repository_id=RepositoryId(an_id(1))
    )
    scene.when(command).refused("repository", code="not_found")


def test_a_project_is_renamed_once_per_name() -> None:
    scene = Scene()
    project_id = a_project(scene)
    command = RenameProject(workspace_id=WORKSPACE, project_id=project_id, name="kernel")
    scene.when(command).then(ProjectRenamed(project_id=project_id, name="kernel"))
    scene.when(command).then_nothing()


def test_an_archived_project_takes_no_repository() -> None:
    scene = Scene()
    project_id = a_project(scene)
    command = ArchiveProject(workspace_id=WORKSPACE, project_id=project_id)
    scene.when(command).then(ProjectArchived(project_id=project_id))
    scene.when(command).then_nothing()
    scene.when(attach(project_id), observed=OTHER_REPOSITORY).refused("project_archived")


def test_a_project_is_shown_as_it_stands() -> None:
    scene = Scene()
    project_id = a_project(scene)
    scene.when(attach(project_id), observed=OTHER_REPOSITORY)
    first = scene.state(ProjectState, project_id).repositories[0].repository_id
    scene.when(DetachRepository(workspace_id=WORKSPACE, project_id=project_id, repository_id=first))
    scene.when(RenameProject(workspace_id=WORKSPACE, project_id=project_id, name="kernel"))
    scene.when(ArchiveProject(workspace_id=WORKSPACE, project_id=project_id))
    row = scene.row(ProjectItem, project_id)
    assert (row.name, row.status, row.version) == ("kernel", "archived", 6)
    assert [each.path for each in row.repositories] == ["/srv/other"]


def test_a_repository_that_nobody_looked_at_is_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError, match="BUG"):
        Scene().when(
            CreateProject(workspace_id=WORKSPACE, name="core", repository="/srv/repo"), observed=None
        )
