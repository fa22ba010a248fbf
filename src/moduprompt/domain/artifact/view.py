"""What people see of an artifact: from the first event that names it on."""

from typing import Literal

from moduprompt.domain.artifact.events import ArtifactErased
from moduprompt.domain.artifact.naming import named_by
from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View, revised
from moduprompt.protocol import WorkspaceId


class ArtifactItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/artifacts`. The same bytes in two workspaces are two of them: the id names both."""

    ref: str
    kind: Literal["text", "recording"]
    chars: int | None = None
    from_kind: str
    from_id: str
    status: Literal["kept", "erased"] = "kept"
    erased_by: str | None = None
    reason: str | None = None


def artifact_id(workspace_id: WorkspaceId, ref: str) -> str:
    """The id of an artifact's row."""
    return f"{workspace_id}/{ref}"


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, ArtifactErased):
        row = rows.get(ArtifactItem, artifact_id(stamp.workspace_id, event.ref))
        if row is not None:
            by = f"{stamp.actor.kind} {stamp.actor.label or stamp.actor.id}"
            rows.put(revised(row, stamp, status="erased", erased_by=by, reason=event.reason))
        return
    for named in named_by(event):
        id_ = artifact_id(stamp.workspace_id, named.ref)
        if rows.get(ArtifactItem, id_) is None:
            subject = event.subject()
            rows.put(
                ArtifactItem(
                    id=id_,
                    workspace_id=stamp.workspace_id,
                    version=0,
                    created_at=stamp.timestamp,
                    updated_at=stamp.timestamp,
                    ref=named.ref,
                    kind="recording" if named.chars is None else "text",
                    chars=named.chars,
                    from_kind=subject.kind,
                    from_id=subject.id,
                )
            )


VIEW = View(name="artifacts", version=1, collections=(("artifacts", ArtifactItem),), fold=fold)
