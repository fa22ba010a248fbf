"""What people see of a workspace."""

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View, revised
from moduprompt.domain.workspace.events import (
    WorkspaceAdopted,
    WorkspaceArchived,
    WorkspaceCreated,
    WorkspaceEvent,
    WorkspaceRenamed,
)


class WorkspaceItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/workspaces`."""

    name: str
    owner_id: str
    status: str = "active"


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, WorkspaceCreated):
        rows.put(
            WorkspaceItem(
                id=event.workspace_id,
                workspace_id=event.workspace_id,
                version=stamp.version,
                created_at=stamp.timestamp,
                updated_at=stamp.timestamp,
                name=event.name,
                owner_id=event.owner_id,
            )
        )
        return
    row = rows.get(WorkspaceItem, stamp.workspace_id)
    if row is None:
        return
    if isinstance(event, WorkspaceRenamed):
        rows.put(revised(row, stamp, name=event.name))
    elif isinstance(event, WorkspaceArchived):
        rows.put(revised(row, stamp, status="archived"))
    elif isinstance(event, WorkspaceAdopted):
        rows.put(revised(row, stamp, owner_id=event.owner_id))


VIEW = View(
    name="workspaces",
    version=1,
    collections=(("workspaces", WorkspaceItem),),
    fold=fold,
    takes=(WorkspaceEvent,),
)
