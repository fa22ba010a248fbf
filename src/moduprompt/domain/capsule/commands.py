"""Orders about capsules."""

from typing import ClassVar, Final, Literal, TypeAlias

from moduprompt.domain.decider import Command
from moduprompt.policy.rights import Right
from moduprompt.protocol import Count, Id, Ref, RunId, SessionId, Text

CapsuleKind: TypeAlias = Literal["status", "plan", "decision", "manifest", "risk"]

CHARS_MAX: Final[dict[CapsuleKind, int]] = {
    "status": 1_500,
    "plan": 3_000,
    "decision": 3_000,
    "manifest": 2_000,
    "risk": 1_000,
}
"""Characters of each kind unless the configuration says otherwise: all five together are read in two minutes, or in
some 3,000 tokens. A session has one of each."""


class WriteCapsule(Command, frozen=True, kw_only=True):
    """Give the account of this kind; a later one takes the place of the one before.

    A session writes its own, a user anyone's.
    """

    wire: ClassVar[str] = "capsule.write"
    kind: ClassVar[str] = "capsule"
    right: ClassVar[Right | None] = Right.WRITE_CAPSULES
    text_field: ClassVar[str | None] = "account"

    session_id: Id[SessionId]
    capsule_kind: CapsuleKind
    account: Text


class ReportMade(Command, frozen=True, kw_only=True):
    """What is known of a session whose run has ended, for its status where nobody wrote one. Kernel only."""

    wire: ClassVar[str] = "capsule.report_made"
    kind: ClassVar[str] = "capsule"
    internal: ClassVar[bool] = True

    session_id: Id[SessionId]
    run_id: Id[RunId]
    account: Ref
    chars: Count


CapsuleCommand: TypeAlias = WriteCapsule | ReportMade
