"""The way in: one command, or a batch of one workspace."""

import logging
from collections import deque
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from moduprompt.kernel.kernel import Begun
from moduprompt.kernel.tickets import Ticket
from moduprompt.protocol import (
    BATCH_MAX,
    COMMAND_BYTES_MAX,
    Actor,
    Answer,
    Code,
    CommandEnvelope,
    RefusedAnswer,
    Rejection,
    decode,
    decode_command,
    misfit,
    refusal,
)
from moduprompt.server.desk import actor_of, desk_of
from moduprompt.server.replies import note_refusal, read_body, to_answer, to_json, to_refusal, trace_of

IN_FLIGHT_MAX: Final = 256  # commands of a batch that are begun and not answered: as many as one commit takes
BATCH_BYTES_MAX = 2 * COMMAND_BYTES_MAX  # a thousand ordinary commands have a tenth of it

log = logging.getLogger(__name__)


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/commands/batch`."""

    commands: tuple[msgspec.Raw, ...]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a batch, in order."""

    answers: tuple[Answer, ...]


class _Home(msgspec.Struct, frozen=True):
    workspace_id: str | None = None


async def submit(request: Request) -> Response:
    """`POST /v1/commands/submit`."""
    actor = await actor_of(request)
    envelope = decode_command(await read_body(request, size_max=COMMAND_BYTES_MAX, limit="body_bytes"))
    if isinstance(envelope, Rejection):
        return to_refusal(request, envelope)
    return to_answer(request, await _finished(request, *await _begun(request, envelope, actor=actor)))


async def batch(request: Request) -> Response:
    """`POST /v1/commands/batch`: up to 1,000 commands of one workspace, each judged on its own."""
    actor = await actor_of(request)
    body = decode(await read_body(request, size_max=BATCH_BYTES_MAX, limit="batch_bytes"), Batch)
    if isinstance(body, Rejection):
        return to_refusal(request, body)
    if len(body.commands) > BATCH_MAX:
        return to_refusal(request, misfit("/commands", f"has more than {BATCH_MAX} commands", limit="batch"))
    envelopes: list[CommandEnvelope] = []
    for place, raw in enumerate(body.commands):
        envelope = decode_command(bytes(raw))
        if isinstance(envelope, Rejection):
            return to_refusal(request, misfit(f"/commands/{place}", envelope.message, hint=envelope.hint))
        envelopes.append(envelope)
    homes = {_home_of(each) for each in envelopes} - {None}  # one without a home is judged, and refused
    if len(homes) > 1:
        return to_refusal(request, misfit("/commands", "are of more than one workspace"))
    answers = await _each_judged(request, envelopes, actor=actor)
    for answer in answers:
        if isinstance(answer, RefusedAnswer):
            note_refusal(request, answer.rejection)
    return to_json(Answers(answers=tuple(answers)))


async def _each_judged(request: Request, envelopes: list[CommandEnvelope], *, actor: Actor) -> list[Answer]:
    """In order, and many to a commit: each is begun when the one before it is queued.

    But for an agent: what it may do can depend on what it has just done, so each waits for the one before.
    """
    in_flight_max = 1 if actor.kind == "session" else IN_FLIGHT_MAX
    in_flight: deque[tuple[Ticket, Begun]] = deque()
    answers: list[Answer] = []
    for envelope in envelopes:
        if len(in_flight) == in_flight_max:
            answers.append(await _finished(request, *in_flight.popleft()))
        in_flight.append(await _begun(request, envelope, actor=actor))
    answers += [await _finished(request, ticket, begun) for ticket, begun in in_flight]
    return answers


async def _begun(request: Request, envelope: CommandEnvelope, *, actor: Actor) -> tuple[Ticket, Begun]:
    kernel = desk_of(request).kernel
    trace_id = envelope.trace_id or trace_of(request)
    ticket = Ticket(envelope, actor=actor, command_id=kernel.new_command_id(), trace_id=trace_id or "")
    if trace_id is None:
        rejection = misfit(
            "/trace_id", "is missing, and there is no traceparent header", hint="send any string of your own"
        )
        return ticket, _refused(ticket, rejection)
    try:
        return ticket, await kernel.begin(ticket)
    except Exception:  # a fault of ours: the log gets all of it, the client the trace id
        log.exception("command.fault", extra=_ids(ticket))
        return ticket, _internal(ticket)


async def _finished(request: Request, ticket: Ticket, begun: Begun) -> Answer:
    answer = await _answer(request, ticket, begun)
    code = answer.rejection.code if isinstance(answer, RefusedAnswer) else "accepted"
    desk_of(request).kernel.meters.commands[code] += 1
    return answer


async def _answer(request: Request, ticket: Ticket, begun: Begun) -> Answer:
    try:
        return await desk_of(request).kernel.finish(ticket, begun)
    except Exception:  # as above
        log.exception("command.fault", extra=_ids(ticket))
        return _internal(ticket)


def _ids(ticket: Ticket) -> dict[str, str]:
    return {"command_id": ticket.command_id, "trace_id": ticket.trace_id}


def _internal(ticket: Ticket) -> RefusedAnswer:
    return _refused(
        ticket,
        refusal(
            Code.INTERNAL,
            "a fault of the daemon's; its log has the trace id",
            hint="mpctl daemon status says where that lies",
        ),
    )


def _refused(ticket: Ticket, rejection: Rejection) -> RefusedAnswer:
    return RefusedAnswer(command_id=ticket.command_id, trace_id=ticket.trace_id, rejection=rejection)


def _home_of(envelope: CommandEnvelope) -> str | None:
    home = decode(envelope.payload, _Home)
    return None if isinstance(home, Rejection) else home.workspace_id
