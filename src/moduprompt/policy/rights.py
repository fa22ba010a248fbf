"""The rights a session can hold, and the verdict on a request.

Users of a workspace may do what is not the kernel's own; a session may do what its
`session.spawned` lists, within its lineage, and some things never. Whatever is not
allowed here is refused: there is no default that allows.
"""

from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec

from moduprompt.protocol import Actor, Code, Rejection


class Right(StrEnum):
    """What a session may be allowed to do; names are the wire's."""

    READ_LINEAGE = "lineage.read"
    PROMPT_DESCENDANTS = "session.prompt"
    SPAWN = "session.spawn"
    WRITE_CAPSULES = "capsule.write"
    COMMIT = "worktree.commit"
    PROPOSE_STAGE = "task.advance_stage"
    ASK_APPROVAL = "gate.request_approval"


DEFAULT_RIGHTS: Final[tuple[Right, ...]] = tuple(Right)
"""What a session may do unless its parent, or who spawned it, gives it less."""

Scope: TypeAlias = Literal["within", "outside"]
"""Whether what a request is about lies within the asking session's reach."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy gate knows of a command."""

    actor: Actor
    command_type: str
    is_internal: bool
    right: Right | None
    held: tuple[Right, ...]
    scope: Scope


def judge(request: Request) -> Rejection | None:
    """The refusal, or None where the request is allowed."""
    kind = request.actor.kind
    if kind == "system":
        return None
    if request.is_internal:
        return _denied(request, "kernel_only", "is sent by the kernel only")
    if kind == "user":
        return None
    if kind != "session":
        return _denied(request, "actor_kind", f"is not open to a {kind}")
    if request.right is None:
        return _denied(request, "never_for_sessions", "is never open to a session")
    if request.right not in request.held:
        return _denied(request, "right_missing", f"needs the right {request.right.value}")
    if request.scope == "outside":
        return _denied(request, "outside_lineage", "reaches outside the session's lineage")
    return None


def narrowed(wanted: tuple[Right, ...] | None, held: tuple[Right, ...]) -> tuple[Right, ...]:
    """What a child gets: what was asked for, never more than its parent holds."""
    if wanted is None:
        return held
    return tuple(right for right in held if right in wanted)


def _denied(request: Request, decided_by: str, why: str) -> Rejection:
    return Rejection(
        code=Code.POLICY_DENIED,
        message=f"{request.command_type} {why} (asked by {request.actor.kind} {request.actor.id})",
        details={"reason": decided_by, "decided_by": "default_rights"},
        hint="ask the workspace's owner to do it: mpctl approval list shows what waits for them",
    )
