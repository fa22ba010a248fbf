"""Orders about artifacts."""

from typing import ClassVar

from moduprompt.domain.decider import Command
from moduprompt.protocol import Reason, Ref


class EraseArtifact(Command, frozen=True, kw_only=True):
    """Destroy the bytes, in this workspace and for ever. Events go on naming them. Open to the owner alone."""

    wire: ClassVar[str] = "artifact.erase"
    kind: ClassVar[str] = "artifact"
    key: ClassVar[str | None] = "ref"
    begins: ClassVar[bool] = True

    ref: Ref
    reason: Reason
