"""An artifact's state.

(none) ── erased ──→ erased

There is none before: that an artifact is there stands in the events that name it.
"""

from typing import ClassVar

from moduprompt.domain.artifact.events import ArtifactErased
from moduprompt.domain.decider import State
from moduprompt.protocol import ArtifactRef, RunId


class ArtifactState(State, frozen=True, kw_only=True):
    """What decisions need of an artifact: that it is erased. `run_id`: whose recording it was."""

    index_by: ClassVar[str | None] = "run_id"

    ref: ArtifactRef
    run_id: RunId | None = None


def evolve(_own: ArtifactState | None, event: ArtifactErased) -> ArtifactState:
    """The state after a fact."""
    return ArtifactState(ref=event.ref, run_id=event.run_id)
