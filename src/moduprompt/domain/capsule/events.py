"""Facts about capsules."""

from typing import ClassVar

from moduprompt.domain.capsule.commands import CapsuleKind
from moduprompt.domain.decider import Event
from moduprompt.protocol import CapsuleId, Id, RunId, SessionId, TextRef


class CapsuleUpdated(Event, frozen=True, kw_only=True):
    """The session's account of this kind, from now on. `made_for`: the kernel made it, of this run."""

    wire: ClassVar[str] = "capsule.updated"
    kind: ClassVar[str] = "capsule"
    key: ClassVar[str] = "capsule_id"

    capsule_id: Id[CapsuleId]
    session_id: Id[SessionId]
    capsule_kind: CapsuleKind
    text: TextRef
    made_for: Id[RunId] | None = None
