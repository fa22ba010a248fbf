"""One workspace's stored bytes, walked from the first: does each event follow the one before it?

Nothing is folded, so what holds here holds in every version of the program.
"""

import re
from typing import Final

import msgspec

from moduprompt.protocol import ArtifactRef, EventEnvelope, WorkspaceId, decode_event
from moduprompt.storage.hashing import content_hash, first_hash

ARTIFACT_ERASED: Final = "artifact.erased"  # as it stands in every log; what it names is to be nowhere
_REF: Final = re.compile(rb"blake3:[0-9a-f]{64}")


class LinkBroken(Exception):
    """The next event is not the one that was written."""


class Chain:
    """Where a walk stands: the last sequence that holds, and the hash of its bytes."""

    def __init__(self, workspace_id: WorkspaceId) -> None:
        self.workspace_id = workspace_id
        self.seq = 0
        self.head_hash: str = first_hash(workspace_id)

    def take(self, data: bytes) -> EventEnvelope:
        """The next event. Raises LinkBroken, and stands where it stood."""
        try:
            envelope = decode_event(data)
        except (msgspec.DecodeError, ValueError) as fault:
            raise LinkBroken(f"its bytes are no event: {fault}") from fault
        if envelope.workspace_id != self.workspace_id:
            raise LinkBroken(f"it belongs to workspace {envelope.workspace_id}")
        if envelope.seq_global != self.seq + 1:
            raise LinkBroken(f"it calls itself event {envelope.seq_global}")
        if envelope.prev_hash != self.head_hash:
            raise LinkBroken("the bytes before it are not the ones it was written after")
        self.seq += 1
        self.head_hash = content_hash(data)
        return envelope


def refs_in(envelope: EventEnvelope) -> set[ArtifactRef]:
    """The artifacts that an event names."""
    return {ArtifactRef(each.decode()) for each in _REF.findall(bytes(envelope.payload))}
