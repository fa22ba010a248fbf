"""A capsule's state.

(none) ── updated ──→ active ── updated ──→ active
"""

from typing import ClassVar

from moduprompt.domain.capsule.commands import CapsuleKind
from moduprompt.domain.capsule.events import CapsuleUpdated
from moduprompt.domain.decider import State
from moduprompt.protocol import CapsuleId, RunId, SessionId, TextRef


class CapsuleState(State, frozen=True, kw_only=True):
    """What decisions need of a capsule: whose it is, its last text, and whether the kernel made that."""

    index_by: ClassVar[str | None] = "session_id"

    capsule_id: CapsuleId
    session_id: SessionId
    capsule_kind: CapsuleKind
    text: TextRef
    made_for: RunId | None = None


def evolve(_own: CapsuleState | None, event: CapsuleUpdated) -> CapsuleState:
    """The state after a fact."""
    return CapsuleState(
        capsule_id=event.capsule_id,
        session_id=event.session_id,
        capsule_kind=event.capsule_kind,
        text=event.text,
        made_for=event.made_for,
    )
