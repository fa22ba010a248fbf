"""An approval's state. A gate asks for one, or a run's program does.

(none) ── requested | asked ──→ requested ── granted ──→ granted ── revoked ──→ revoked
                                                 │  │                     └── spent ──→ spent
                                                 │  └─ denied ──→ denied
                                                 └─ withdrawn ──→ withdrawn

`asked` is a program's question. What is decided of it is carried to the program, once: `answered` says what
became of that. `spent` is a yes to a gate that was passed, or was to be: it counts no more.
"""

from typing import ClassVar, Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from moduprompt.domain.approval.commands import AnswerEnd
from moduprompt.domain.approval.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalDenied,
    ApprovalFact,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalRevoked,
    ApprovalSpent,
    ApprovalWithdrawn,
)
from moduprompt.domain.decider import State
from moduprompt.domain.run.events import OfferedOption
from moduprompt.protocol import ApprovalId, GateId, RunId, SessionId, TaskId, UserId

ApprovalStatus: TypeAlias = Literal["requested", "granted", "denied", "revoked", "withdrawn", "spent"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's program asked, and what it takes for an answer."""

    run_id: RunId
    session_id: SessionId
    request_id: str
    tool: str
    arguments_digest: str
    options: tuple[OfferedOption, ...]
    chosen: str | None = None
    answered: AnswerEnd | None = None


class ApprovalState(State, frozen=True, kw_only=True):
    """What decisions need of an approval. `asker`: the gate or the run that wants it."""

    index_by: ClassVar[str | None] = "asker"

    approval_id: ApprovalId
    asker: GateId | RunId
    task_id: TaskId | None = None
    question: Question | None = None
    status: ApprovalStatus = "requested"
    user_id: UserId | None = None


def evolve(own: ApprovalState | None, event: ApprovalFact) -> ApprovalState:
    """The state after a fact."""
    match event:
        case ApprovalRequested():
            return ApprovalState(approval_id=event.approval_id, asker=event.gate_id, task_id=event.task_id)
        case ApprovalAsked():
            question = Question(
                run_id=event.run_id,
                session_id=event.session_id,
                request_id=event.request_id,
                tool=event.tool,
                arguments_digest=event.arguments_digest,
                options=event.options,
            )
            return ApprovalState(approval_id=event.approval_id, asker=event.run_id, question=question)
        case _:
            assert own is not None, "BUG: an approval begins with a request"
            return _moved(own, event)


def _moved(
    own: ApprovalState,
    event: ApprovalGranted
    | ApprovalDenied
    | ApprovalRevoked
    | ApprovalWithdrawn
    | ApprovalSpent
    | ApprovalAnswered,
) -> ApprovalState:
    asked = own.question
    match event:
        case ApprovalGranted() | ApprovalDenied():
            status = "granted" if isinstance(event, ApprovalGranted) else "denied"
            chosen = replace(asked, chosen=event.option) if asked else None
            return replace(own, status=status, user_id=event.user_id, question=chosen)
        case ApprovalRevoked():
            return replace(own, status="revoked")
        case ApprovalWithdrawn():
            return replace(own, status="withdrawn")
        case ApprovalSpent():
            return replace(own, status="spent")
        case ApprovalAnswered():
            return replace(own, question=replace(asked, answered=event.how) if asked else None)
        case _:
            assert_never(event)
