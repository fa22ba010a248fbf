"""What people see of a capsule. Its text is an artifact, so that it can be erased."""

from moduprompt.domain.capsule.events import CapsuleUpdated
from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View


class CapsuleItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/capsules`. `text` is the reference of the artifact."""

    session_id: str
    capsule_kind: str
    text: str
    chars: int
    written_by: str


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if not isinstance(event, CapsuleUpdated):
        return
    before = rows.get(CapsuleItem, event.capsule_id)
    rows.put(
        CapsuleItem(
            id=event.capsule_id,
            workspace_id=stamp.workspace_id,
            version=stamp.version,
            created_at=before.created_at if before else stamp.timestamp,
            updated_at=stamp.timestamp,
            session_id=event.session_id,
            capsule_kind=event.capsule_kind,
            text=event.text.ref,
            chars=event.text.chars,
            written_by=f"{stamp.actor.kind}:{stamp.actor.id}",
        )
    )


VIEW = View(
    name="capsules", version=1, collections=(("capsules", CapsuleItem),), fold=fold, takes=(CapsuleUpdated,)
)
