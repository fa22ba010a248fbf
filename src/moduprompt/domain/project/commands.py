"""Orders about projects."""

from typing import Annotated, ClassVar, TypeAlias

import msgspec

from moduprompt.domain.decider import Command
from moduprompt.protocol import Id, Name, ProjectId, RepositoryId

PATH_MAX = 4_096  # Linux's own bound on a path
FilePath: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=PATH_MAX, pattern=r"^/[^\x00]*$")]
"""An absolute path on the daemon's machine."""


class CreateProject(Command, frozen=True, kw_only=True):
    """Make a project, with its first repository when a path is given: both or neither."""

    wire: ClassVar[str] = "project.create"
    kind: ClassVar[str] = "project"

    name: Name
    repository: FilePath | None = None


class AttachRepository(Command, frozen=True, kw_only=True):
    """Add a repository that lies on this machine."""

    wire: ClassVar[str] = "project.attach_repository"
    kind: ClassVar[str] = "project"
    key: ClassVar[str | None] = "project_id"

    project_id: Id[ProjectId]
    repository: FilePath


class DetachRepository(Command, frozen=True, kw_only=True):
    """Forget a repository; nothing on disk changes."""

    wire: ClassVar[str] = "project.detach_repository"
    kind: ClassVar[str] = "project"
    key: ClassVar[str | None] = "project_id"

    project_id: Id[ProjectId]
    repository_id: Id[RepositoryId]


class RenameProject(Command, frozen=True, kw_only=True):
    """Give it another name."""

    wire: ClassVar[str] = "project.rename"
    kind: ClassVar[str] = "project"
    key: ClassVar[str | None] = "project_id"

    project_id: Id[ProjectId]
    name: Name


class ArchiveProject(Command, frozen=True, kw_only=True):
    """Take no further work."""

    wire: ClassVar[str] = "project.archive"
    kind: ClassVar[str] = "project"
    key: ClassVar[str | None] = "project_id"

    project_id: Id[ProjectId]


ProjectCommand: TypeAlias = (
    CreateProject | AttachRepository | DetachRepository | RenameProject | ArchiveProject
)
