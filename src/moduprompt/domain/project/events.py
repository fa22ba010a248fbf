"""Facts about projects."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Event
from moduprompt.protocol import Id, Name, ProjectId, RepositoryId


class ProjectEvent(Event, frozen=True, kw_only=True):
    """A fact about one project."""

    kind: ClassVar[str] = "project"
    key: ClassVar[str] = "project_id"

    project_id: Id[ProjectId]


class ProjectCreated(ProjectEvent, frozen=True, kw_only=True):
    """It exists."""

    wire: ClassVar[str] = "project.created"

    name: Name


class RepositoryAttached(ProjectEvent, frozen=True, kw_only=True):
    """A repository belongs to it; `branch` and `head` are what was seen when it came."""

    wire: ClassVar[str] = "project.repository_attached"

    repository_id: Id[RepositoryId]
    path: str
    branch: str
    head: str


class RepositoryDetached(ProjectEvent, frozen=True, kw_only=True):
    """A repository belongs to it no more."""

    wire: ClassVar[str] = "project.repository_detached"

    repository_id: Id[RepositoryId]


class ProjectRenamed(ProjectEvent, frozen=True, kw_only=True):
    """It has another name."""

    wire: ClassVar[str] = "project.renamed"

    name: Name


class ProjectArchived(ProjectEvent, frozen=True, kw_only=True):
    """It takes no further work."""

    wire: ClassVar[str] = "project.archived"


ProjectFact: TypeAlias = (
    ProjectCreated | RepositoryAttached | RepositoryDetached | ProjectRenamed | ProjectArchived
)
