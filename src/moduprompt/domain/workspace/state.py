"""A workspace's state.

(none) ── created ──→ active ── archived ──→ archived

One that was imported is frozen until it is adopted; that stands beside the log, so no status says it.
"""

from typing import Literal, TypeAlias, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import State
from moduprompt.domain.workspace.events import (
    WorkspaceAdopted,
    WorkspaceArchived,
    WorkspaceCreated,
    WorkspaceFact,
    WorkspaceRenamed,
)
from moduprompt.protocol import UserId, WorkspaceId

WorkspaceStatus: TypeAlias = Literal["active", "archived"]


class WorkspaceState(State, frozen=True, kw_only=True):
    """What decisions need of a workspace."""

    workspace_id: WorkspaceId
    name: str
    owner_id: UserId
    status: WorkspaceStatus = "active"


def evolve(own: WorkspaceState | None, event: WorkspaceFact) -> WorkspaceState:
    """The state after a fact."""
    if isinstance(event, WorkspaceCreated):
        return WorkspaceState(workspace_id=event.workspace_id, name=event.name, owner_id=event.owner_id)
    assert own is not None, "BUG: a workspace's first event is workspace.created"
    match event:
        case WorkspaceRenamed():
            return replace(own, name=event.name)
        case WorkspaceArchived():
            return replace(own, status="archived")
        case WorkspaceAdopted():
            return replace(own, owner_id=event.owner_id)
        case _:
            assert_never(event)
