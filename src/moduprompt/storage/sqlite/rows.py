"""Rows of the log's file as the port has them."""

from moduprompt.protocol import CommandId, WorkspaceId
from moduprompt.storage.port import KeyRow


def to_key(row: tuple[str, str, bytes, str, str, str, int, int]) -> KeyRow:
    """The accepted use of a key."""
    actor, key, digest, command_id, trace_id, answer_in, first, last = row
    return KeyRow(
        actor=actor,
        key=key,
        digest=digest,
        command_id=CommandId(command_id),
        trace_id=trace_id,
        answer_workspace=WorkspaceId(answer_in),
        first_seq=first,
        last_seq=last,
    )
