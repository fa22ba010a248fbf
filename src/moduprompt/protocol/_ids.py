"""Names for things: UUIDv7 ids of entities, content hashes of artifacts.

Ids are minted by the shell around the decisions and handed in; nothing in this
package mints one. Every id on the wire is a lower-case, hyphenated UUIDv7 (RFC 9562).
"""

import re
from typing import Annotated, Final, NewType, TypeAlias, TypeVar

import msgspec

WorkspaceId = NewType("WorkspaceId", str)
UserId = NewType("UserId", str)
ProjectId = NewType("ProjectId", str)
RepositoryId = NewType("RepositoryId", str)
SessionId = NewType("SessionId", str)
PromptId = NewType("PromptId", str)
InterruptId = NewType("InterruptId", str)
RunId = NewType("RunId", str)
WorktreeId = NewType("WorktreeId", str)
TaskId = NewType("TaskId", str)
GateId = NewType("GateId", str)
ApprovalId = NewType("ApprovalId", str)
CapsuleId = NewType("CapsuleId", str)
CommandId = NewType("CommandId", str)
EventId = NewType("EventId", str)
ArtifactRef = NewType("ArtifactRef", str)

SYSTEM_WORKSPACE: Final = WorkspaceId("00000000-0000-7000-8000-000000000000")
"""The workspace that exists from first boot and holds what belongs to the daemon."""

ID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
REF_PATTERN: Final = r"^blake3:[0-9a-f]{64}$"
_ID_LENGTH: Final = 36  # said beside the pattern, because `$` also matches before a last line break
_REF_LENGTH: Final = 71

_T = TypeVar("_T")
Id: TypeAlias = Annotated[_T, msgspec.Meta(pattern=ID_PATTERN, max_length=_ID_LENGTH)]
"""`Id[TaskId]` is a TaskId that the codec has seen to be a UUIDv7."""
Ref: TypeAlias = Annotated[ArtifactRef, msgspec.Meta(pattern=REF_PATTERN, max_length=_REF_LENGTH)]
"""The hash of an artifact's content as written."""

_ID = re.compile(ID_PATTERN)


def is_id(text: str) -> bool:
    """Whether the text has the form of an id."""
    return _ID.fullmatch(text) is not None
