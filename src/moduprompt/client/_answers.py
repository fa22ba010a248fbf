"""From the bytes of an answer to the value it stands for, or to the error that it is.

Decoding is lenient: fields and event types that this version does not know are passed over.
"""

from collections.abc import AsyncIterator
from typing import Final, TypeVar

import msgspec

from moduprompt.client._channel import Reply
from moduprompt.client._errors import AnswerBroken, CommandRefused, RequestRefused
from moduprompt.domain.decider import Event
from moduprompt.domain.registry import known_event
from moduprompt.protocol import (
    HTTP_STATUS,
    Accepted,
    Answer,
    Code,
    ErrorObject,
    EventEnvelope,
    RefusedAnswer,
    Rejection,
    decode,
    decode_event,
)

REFUSAL_BYTES_MAX: Final = 1024 * 1024  # an error object has some hundred bytes

T = TypeVar("T")
E = TypeVar("E", bound=Event)


class _Verdict(msgspec.Struct, frozen=True):
    accepted: bool | None = None


class _Answers(msgspec.Struct, frozen=True):
    answers: tuple[msgspec.Raw, ...]


def to_value(reply: Reply, kind: type[T]) -> T:
    """A read's answer. Raises RequestRefused or AnswerBroken."""
    return to_typed(ok_body(reply), kind)


def to_typed(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """A document of the daemon's, or AnswerBroken."""
    value = decode(data, kind)
    if isinstance(value, Rejection):
        raise AnswerBroken(f"the answer is not what this version expects: {value.message}")
    return value


def ok_body(reply: Reply) -> bytes:
    """The bytes of a read's answer. Raises RequestRefused."""
    if reply.status == 200:
        return reply.body
    raise to_refusal(reply.status, reply.body)


def to_answer(reply: Reply) -> Answer:
    """The answer to a command. Raises RequestRefused where it was not taken for one."""
    verdict = decode(reply.body, _Verdict)
    if isinstance(verdict, Rejection) or verdict.accepted is None:
        raise to_refusal(reply.status, reply.body)
    return _typed_answer(reply.body, is_accepted=verdict.accepted)


def to_answers(reply: Reply) -> tuple[Answer, ...]:
    """The answers to a batch, in its order."""
    raw = to_value(reply, _Answers).answers
    return tuple(_typed_answer(each, is_accepted=to_typed(each, _Verdict).accepted is True) for each in raw)


def to_accepted(answer: Answer) -> Accepted:
    """The answer of a command that was carried out. Raises CommandRefused."""
    if isinstance(answer, RefusedAnswer):
        raise CommandRefused(answer)
    return answer


def to_refusal(status: int, body: bytes) -> RequestRefused:
    """The refusal that an answer stands for, also where it comes from something else than a daemon."""
    error = decode(body, ErrorObject)
    if not isinstance(error, Rejection):
        return RequestRefused(error)
    code = next((code for code, known in HTTP_STATUS.items() if known == status), Code.UNKNOWN)
    return RequestRefused(
        ErrorObject(
            code=code,
            message=f"the daemon answered with HTTP status {status} and no explanation",
            hint="mpctl daemon status says whether a daemon answers there",
        )
    )


async def read_refusal(status: int, pieces: AsyncIterator[bytes]) -> RequestRefused:
    """The refusal of an answer that is read piece by piece. Raises AnswerBroken where it does not end."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > REFUSAL_BYTES_MAX:
            raise AnswerBroken(f"the daemon refuses with more than {REFUSAL_BYTES_MAX} bytes")
    return to_refusal(status, bytes(body))


def envelopes(answer: Answer) -> tuple[EventEnvelope, ...]:
    """The events of an answer, in order."""
    return tuple(decode_event(each) for each in answer.events)


def first_event(answer: Accepted, kind: type[E]) -> E:
    """The first event of this kind: what a command made. Raises AnswerBroken where there is none."""
    for envelope in envelopes(answer):
        event = known_event(envelope)
        if isinstance(event, kind):
            return event
    raise AnswerBroken(f"the answer to command {answer.command_id} holds no {kind.wire}")


def _typed_answer(data: bytes | msgspec.Raw, *, is_accepted: bool) -> Answer:
    return to_typed(data, Accepted) if is_accepted else to_typed(data, RefusedAnswer)
