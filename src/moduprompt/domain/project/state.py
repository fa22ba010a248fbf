"""A project's state.

(none) ── created ──→ active ── archived ──→ archived
"""

from typing import Literal, TypeAlias, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import State
from moduprompt.domain.project.events import (
    ProjectArchived,
    ProjectCreated,
    ProjectFact,
    ProjectRenamed,
    RepositoryAttached,
    RepositoryDetached,
)
from moduprompt.protocol import ProjectId, RepositoryId

ProjectStatus: TypeAlias = Literal["active", "archived"]


class Repository(State, frozen=True, kw_only=True):
    """One git repository of a project, and the branch its work is merged into."""

    repository_id: RepositoryId
    path: str
    branch: str


class ProjectState(State, frozen=True, kw_only=True):
    """What decisions need of a project."""

    project_id: ProjectId
    name: str
    repositories: tuple[Repository, ...] = ()
    status: ProjectStatus = "active"

    def main_repository(self) -> Repository | None:
        """The one that worktrees are made from when none is named: the first."""
        return self.repositories[0] if self.repositories else None

    def repository_at(self, path: str) -> Repository | None:
        """The one that lies there, while it belongs to the project."""
        return next((each for each in self.repositories if each.path == path), None)


def evolve(own: ProjectState | None, event: ProjectFact) -> ProjectState:
    """The state after a fact."""
    if isinstance(event, ProjectCreated):
        return ProjectState(project_id=event.project_id, name=event.name)
    assert own is not None, "BUG: a project's first event is project.created"
    match event:
        case RepositoryAttached():
            added = Repository(repository_id=event.repository_id, path=event.path, branch=event.branch)
            return replace(own, repositories=(*own.repositories, added))
        case RepositoryDetached():
            kept = tuple(r for r in own.repositories if r.repository_id != event.repository_id)
            return replace(own, repositories=kept)
        case ProjectRenamed():
            return replace(own, name=event.name)
        case ProjectArchived():
            return replace(own, status="archived")
        case _:
            assert_never(event)
