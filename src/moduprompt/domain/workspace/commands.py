"""Orders about workspaces. `workspace.create` is judged in the system workspace."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Command
from moduprompt.protocol import Name


class CreateWorkspace(Command, frozen=True, kw_only=True):
    """Make a workspace; its first event is `workspace.created`. Home: the system workspace."""

    wire: ClassVar[str] = "workspace.create"
    kind: ClassVar[str] = "workspace"

    name: Name


class RenameWorkspace(Command, frozen=True, kw_only=True):
    """Give it another name."""

    wire: ClassVar[str] = "workspace.rename"
    kind: ClassVar[str] = "workspace"
    key: ClassVar[str | None] = "workspace_id"

    name: Name


class ArchiveWorkspace(Command, frozen=True, kw_only=True):
    """Take no further work; everything stays readable."""

    wire: ClassVar[str] = "workspace.archive"
    kind: ClassVar[str] = "workspace"
    key: ClassVar[str | None] = "workspace_id"


class AdoptWorkspace(Command, frozen=True, kw_only=True):
    """Take over a workspace that was imported: it belongs to whoever says so, and work in it goes on.

    What ran elsewhere is lost to this daemon. Until then the workspace is frozen and takes no other order.
    """

    wire: ClassVar[str] = "workspace.adopt"
    kind: ClassVar[str] = "workspace"
    key: ClassVar[str | None] = "workspace_id"


WorkspaceCommand: TypeAlias = CreateWorkspace | RenameWorkspace | ArchiveWorkspace | AdoptWorkspace
