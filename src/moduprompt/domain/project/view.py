"""What people see of a project."""

import msgspec

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View, revised
from moduprompt.domain.project.events import (
    ProjectArchived,
    ProjectCreated,
    ProjectEvent,
    ProjectRenamed,
    RepositoryAttached,
    RepositoryDetached,
)


class RepositoryItem(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of a project."""

    repository_id: str
    path: str
    branch: str


class ProjectItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/projects`."""

    name: str
    status: str = "active"
    repositories: tuple[RepositoryItem, ...] = ()


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, ProjectCreated):
        rows.put(
            ProjectItem(
                id=event.project_id,
                workspace_id=stamp.workspace_id,
                version=stamp.version,
                created_at=stamp.timestamp,
                updated_at=stamp.timestamp,
                name=event.name,
            )
        )
        return
    row = rows.get(ProjectItem, event.project_id) if isinstance(event, ProjectEvent) else None
    if row is not None:
        rows.put(revised(row, stamp, **_changes(row, event)))


def _changes(row: ProjectItem, event: Event) -> dict[str, object]:
    if isinstance(event, RepositoryAttached):
        added = RepositoryItem(repository_id=event.repository_id, path=event.path, branch=event.branch)
        return {"repositories": (*row.repositories, added)}
    if isinstance(event, RepositoryDetached):
        kept = tuple(r for r in row.repositories if r.repository_id != event.repository_id)
        return {"repositories": kept}
    if isinstance(event, ProjectRenamed):
        return {"name": event.name}
    return {"status": "archived"} if isinstance(event, ProjectArchived) else {}


VIEW = View(
    name="projects", version=1, collections=(("projects", ProjectItem),), fold=fold, takes=(ProjectEvent,)
)
