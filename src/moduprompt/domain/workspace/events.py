"""Facts about workspaces."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Event
from moduprompt.protocol import Id, Name, UserId, WorkspaceId


class WorkspaceEvent(Event, frozen=True, kw_only=True):
    """A fact about one workspace."""

    kind: ClassVar[str] = "workspace"
    key: ClassVar[str] = "workspace_id"

    workspace_id: Id[WorkspaceId]


class WorkspaceCreated(WorkspaceEvent, frozen=True, kw_only=True):
    """It exists, and belongs to its owner."""

    wire: ClassVar[str] = "workspace.created"

    name: Name
    owner_id: Id[UserId]


class WorkspaceRenamed(WorkspaceEvent, frozen=True, kw_only=True):
    """It has another name."""

    wire: ClassVar[str] = "workspace.renamed"

    name: Name


class WorkspaceArchived(WorkspaceEvent, frozen=True, kw_only=True):
    """It takes no further work."""

    wire: ClassVar[str] = "workspace.archived"


class WorkspaceAdopted(WorkspaceEvent, frozen=True, kw_only=True):
    """It was imported, and goes on here under this owner; what ran elsewhere is lost."""

    wire: ClassVar[str] = "workspace.adopted"

    owner_id: Id[UserId]


WorkspaceFact: TypeAlias = WorkspaceCreated | WorkspaceRenamed | WorkspaceArchived | WorkspaceAdopted
