"""The way in: one command, or a batch of one workspace."""

import logging

import msgspec
from starlette.requests import Request
from starlette.responses import Response

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
    return to_answer(request, await _judged(request, envelope, actor=actor))


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
    answers = [await _judged(request, each, actor=actor) for each in envelopes]
    for answer in answers:
        if isinstance(answer, RefusedAnswer):
            note_refusal(request, answer.rejection)
    return to_json(Answers(answers=tuple(answers)))


async def _judged(request: Request, envelope: CommandEnvelope, *, actor: Actor) -> Answer:
    answer = await _answer(request, envelope, actor=actor)
    code = answer.rejection.code if isinstance(answer, RefusedAnswer) else "accepted"
    desk_of(request).kernel.meters.commands[code] += 1
    return answer


async def _answer(request: Request, envelope: CommandEnvelope, *, actor: Actor) -> Answer:
    kernel = desk_of(request).kernel
    command_id = kernel.new_command_id()
    trace_id = envelope.trace_id or trace_of(request)
    if trace_id is None:
        rejection = misfit(
            "/trace_id", "is missing, and there is no traceparent header", hint="send any string of your own"
        )
        return RefusedAnswer(command_id=command_id, trace_id="", rejection=rejection)
    try:
        return await kernel.submit(envelope, actor=actor, command_id=command_id, trace_id=trace_id)
    except Exception:  # a fault of ours: the log gets all of it, the client the trace id
        log.exception("command.fault", extra={"command_id": command_id, "trace_id": trace_id})
        rejection = refusal(Code.INTERNAL, "a fault of the daemon's; its log has the trace id")
        return RefusedAnswer(command_id=command_id, trace_id=trace_id, rejection=rejection)


def _home_of(envelope: CommandEnvelope) -> str | None:
    home = decode(envelope.payload, _Home)
    return None if isinstance(home, Rejection) else home.workspace_id
