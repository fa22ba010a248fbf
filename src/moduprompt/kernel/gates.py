"""What a command passes before the writer sees it, in the contract's order.

Each gate looks at one thing and refuses, answers or lets pass. They run outside the
writer, concurrently for different commands; what they relied on is checked again there.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from blake3 import blake3

from moduprompt.domain.decider import Command
from moduprompt.domain.registry import command_type
from moduprompt.domain.scope import scope_of
from moduprompt.domain.session.state import SessionState
from moduprompt.kernel.tickets import Shelf, Ticket
from moduprompt.kernel.visibility import Watched, may_enter
from moduprompt.policy.rights import Request, judge
from moduprompt.protocol import Accepted, Code, Rejection, decode, encode, misfit, missing, refusal
from moduprompt.storage.port import KeyRow

Verdict: TypeAlias = Rejection | Accepted | None


async def check_schema(ticket: Ticket, _shelf: Shelf) -> Verdict:
    """Type and version are known, the payload fits, a key is there."""
    envelope = ticket.envelope
    kind = command_type(envelope.type, envelope.schema_version)
    if isinstance(kind, Rejection):
        return kind
    command = decode(envelope.payload, kind)
    if isinstance(command, Rejection):
        return _below_payload(command)
    if envelope.idempotency_key is None:
        return refusal(
            Code.IDEMPOTENCY_KEY_REQUIRED,
            f"{envelope.type} changes state and needs an idempotency_key",
            hint="mint a UUIDv7, and send the same one again when you repeat the command",
        )
    ticket.command = command
    ticket.digest = digest_of(command)
    return None


async def check_visibility(ticket: Ticket, shelf: Shelf) -> Verdict:
    """The workspace exists and this actor may know of it."""
    command = ticket.known_command()
    ledger = await shelf.find(command.workspace_id)
    if ledger is None or not may_enter(ticket.actor, ledger, command=command):
        return missing("workspace", command.workspace_id)
    ticket.ledger = ledger
    return None


async def check_idempotency(ticket: Ticket, shelf: Shelf) -> Verdict:
    """A key that was used answers what it answered then, or refuses another command."""
    ledger = ticket.known_ledger()
    key = ticket.envelope.idempotency_key
    assert key is not None, "BUG: the schema gate asks for a key"
    used = await shelf.find_key(ledger.workspace_id, actor=ticket.actor, key=key)
    if used is None:
        return None
    if used.digest != ticket.digest:
        ticket.leaves_event = True
        return key_reused(used, key)
    return await shelf.answer_again(used)


async def check_policy(ticket: Ticket, _shelf: Shelf) -> Verdict:
    """This actor may do this, here."""
    ticket.leaves_event = True
    command, ledger, actor = ticket.known_command(), ticket.known_ledger(), ticket.actor
    world = Watched(ledger)
    asker = world.find(SessionState, actor.id) if actor.kind == "session" else None
    verdict = judge(
        Request(
            actor=actor,
            command_type=command.wire,
            is_internal=command.internal,
            right=command.right,
            held=asker.may if asker else (),
            scope=scope_of(command, asker, world) if asker else "outside",
        )
    )
    ticket.relied_on = world.looked_at()
    return verdict


Gate: TypeAlias = Callable[[Ticket, Shelf], Awaitable[Verdict]]
GATES: Final[tuple[Gate, ...]] = (check_schema, check_visibility, check_idempotency, check_policy)
"""All of them, in order; hooks will come after policy."""


def digest_of(command: Command) -> bytes:
    """What makes two uses of a key the same: type, version and payload."""
    return blake3(f"{command.wire}/{command.version}/".encode() + encode(command.identity())).digest()


def key_reused(used: KeyRow, key: str) -> Rejection:
    """The refusal of a key that belongs to another command."""
    return refusal(
        Code.VALIDATION_FAILED,
        f"the idempotency key {key[:80]} belongs to another command",
        hint="mint a new key for a new command",
        details={"reason": "idempotency_key_reused", "command_id": used.command_id},
    )


def _below_payload(rejection: Rejection) -> Rejection:
    errors = (rejection.details or {}).get("errors")
    if not isinstance(errors, list) or not errors or isinstance(errors[0], str):
        return rejection
    first = errors[0]
    limit = (rejection.details or {}).get("limit")
    named = limit if isinstance(limit, str) else None
    return misfit(f"/payload{first.pointer}", first.message, hint=rejection.hint, limit=named)
