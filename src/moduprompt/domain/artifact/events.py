"""Facts about artifacts."""

from typing import ClassVar

from moduprompt.domain.decider import Event
from moduprompt.protocol import Id, Reason, Ref, RunId


class ArtifactErased(Event, frozen=True, kw_only=True):
    """Its bytes are to be nowhere in this workspace, and never come back. `run_id`: whose recording it was."""

    wire: ClassVar[str] = "artifact.erased"
    kind: ClassVar[str] = "artifact"
    key: ClassVar[str] = "ref"

    ref: Ref
    reason: Reason
    run_id: Id[RunId] | None = None
