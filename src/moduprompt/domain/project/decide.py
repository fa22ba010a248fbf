"""Which orders about a project are taken."""

from typing import assert_never

from moduprompt.domain.decider import Context, Decision, Event, RepositoryFacts, World
from moduprompt.domain.project.commands import (
    ArchiveProject,
    AttachRepository,
    CreateProject,
    DetachRepository,
    ProjectCommand,
    RenameProject,
)
from moduprompt.domain.project.events import (
    ProjectArchived,
    ProjectCreated,
    ProjectRenamed,
    RepositoryAttached,
    RepositoryDetached,
)
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.protocol import ProjectId, Rejection, RepositoryId, invalid, missing

REPOSITORIES_MAX = 64  # a project over more than this is several projects


def decide(command: ProjectCommand, own: ProjectState | None, world: World, context: Context) -> Decision:
    """Facts, or why not."""
    if isinstance(command, CreateProject):
        return _create(command, world, context)
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    match command:
        case AttachRepository():
            return _attach(own, world, context)
        case DetachRepository():
            if all(r.repository_id != command.repository_id for r in own.repositories):
                hint = f"mpctl project show {own.project_id}"
                return missing("repository", command.repository_id, hint=hint)
            return [RepositoryDetached(project_id=own.project_id, repository_id=command.repository_id)]
        case RenameProject():
            if command.name == own.name:
                return []
            return [ProjectRenamed(project_id=own.project_id, name=command.name)]
        case ArchiveProject():
            return [] if own.status == "archived" else [ProjectArchived(project_id=own.project_id)]
        case _:
            assert_never(command)


def takes_no_work(project: ProjectState, world: World) -> Rejection | None:
    """Why nothing new may begin in this project; None where it may."""
    if project.status == "archived":
        return invalid(
            "project_archived",
            f"project {project.project_id} is archived and takes no work",
            hint="mpctl project create NAME --repo PATH makes another",
        )
    return _archived_home(world)


def _archived_home(world: World) -> Rejection | None:
    home = world.find(WorkspaceState, world.workspace_id)
    if home is None or home.status != "archived":
        return None
    return invalid(
        "workspace_archived",
        f"workspace {home.workspace_id} is archived and takes no work",
        hint="mpctl workspace create NAME makes another",
    )


def _create(command: CreateProject, world: World, context: Context) -> Decision:
    refused = _archived_home(world)
    if refused is not None:
        return refused
    project_id = context.mint(ProjectId)
    facts: list[Event] = [ProjectCreated(project_id=project_id, name=command.name)]
    if command.repository is None:
        return facts
    attached = _seen(project_id, context)
    return attached if isinstance(attached, Rejection) else [*facts, attached]


def _attach(own: ProjectState, world: World, context: Context) -> Decision:
    refused = takes_no_work(own, world)
    if refused is not None:
        return refused
    if len(own.repositories) >= REPOSITORIES_MAX:
        return invalid(
            "too_many_repositories",
            f"project {own.project_id} has {REPOSITORIES_MAX} already",
            hint=f"mpctl project detach {own.project_id} PATH forgets one",
        )
    attached = _seen(own.project_id, context)
    if isinstance(attached, Rejection):
        return attached
    if any(r.path == attached.path for r in own.repositories):
        return []
    return [attached]


def _seen(project_id: ProjectId, context: Context) -> RepositoryAttached | Rejection:
    seen = context.observed
    if isinstance(seen, Rejection):
        return seen
    assert isinstance(seen, RepositoryFacts), "BUG: the shell looks at a repository before this decision"
    return RepositoryAttached(
        project_id=project_id,
        repository_id=context.mint(RepositoryId),
        path=seen.path,
        branch=seen.branch,
        head=seen.head,
    )
