"""The hash chain over the stored bytes of a workspace's events (BLAKE3).

`prev_hash` of the first event is the hash of the workspace's id; of every other one
the hash of the bytes before it. The log's head holds the hash of its last bytes.
"""

from blake3 import blake3

from moduprompt.protocol import ArtifactRef, WorkspaceId


def content_hash(data: bytes) -> ArtifactRef:
    """The name of bytes: `blake3:<64 hex>`."""
    return ArtifactRef("blake3:" + blake3(data).hexdigest())


def first_hash(workspace_id: WorkspaceId) -> str:
    """What the chain of a workspace hangs on."""
    return content_hash(workspace_id.encode())


def piece_digest(data: bytes) -> bytes:
    """What tells one piece of a snapshot from another: 16 bytes, against accidents alone."""
    return blake3(data).digest(16)
