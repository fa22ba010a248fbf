"""Answers as HTTP: the error table's statuses, JSON or RFC 9457, `Retry-After` where it helps."""

import logging
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response

from moduprompt.kernel.ledger import Ledger
from moduprompt.protocol import (
    HTTP_STATUS,
    TRACE_ID_MAX,
    Answer,
    ErrorObject,
    RefusedAnswer,
    Rejection,
    encode,
    retry_after_s,
    to_error,
    to_problem,
    too_large,
)
from moduprompt.server.desk import desk_of
from moduprompt.server.limits import limit_of

JSON: Final = "application/json"
JSON_HEADER: Final = (b"content-type", b"application/json")
PROBLEM: Final = "application/problem+json"

log = logging.getLogger(__name__)


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/log/head`: what a replay from zero must arrive at."""

    workspace_id: str
    seq: int
    head_hash: str
    state_hash: str
    is_frozen: bool = False


class BodyTooLarge(Exception):
    """The client sends more than is taken."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.message)
        self.rejection = rejection


async def head_of(ledger: Ledger) -> LogHead:
    """Where a workspace stands in memory, all of it as of the call."""
    return LogHead(
        workspace_id=ledger.workspace_id,
        seq=ledger.seq,
        head_hash=ledger.head_hash,
        is_frozen=ledger.is_frozen,
        state_hash=await ledger.state_hash_aside(),  # last: what stands above is of the same moment
    )


class JsonResponse(Response):
    """A response whose headers need no encoding: nearly all of them are one."""

    media_type = JSON

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Length and type."""
        assert not headers, "BUG: what else is to be said is added afterwards"
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), JSON_HEADER]


def to_json(value: object, *, status: int = 200) -> Response:
    """A value of the protocol."""
    return JsonResponse(encode(value), status_code=status)


def to_answer(request: Request, answer: Answer) -> Response:
    """The answer to a command, with the HTTP status of its code."""
    if not isinstance(answer, RefusedAnswer):
        return to_json(answer)
    if _wants_problem(request):
        return error_response(request, to_error(answer.rejection, answer.trace_id))
    rejection = answer.rejection
    note_refusal(request, rejection)
    return _with_retry(to_json(answer, status=HTTP_STATUS[rejection.code]), rejection)


def to_refusal(request: Request, rejection: Rejection) -> Response:
    """The error object, in the form the client asks for."""
    error = to_error(rejection, trace_of(request))
    return error_response(request, error)


def error_response(request: HTTPConnection, error: ErrorObject) -> Response:
    """An error object as JSON or as a problem document."""
    status = HTTP_STATUS[error.code]
    note_refusal(request, error)
    if _wants_problem(request):
        response = Response(encode(to_problem(error)), status_code=status, media_type=PROBLEM)
    else:
        response = to_json(error, status=status)
    return _with_retry(response, error)


def note_refusal(request: HTTPConnection, refused: Rejection | ErrorObject) -> None:
    """Count it, where a limit refused."""
    limit = limit_of(refused)
    if limit is not None:
        desk_of(request).kernel.meters.refused[limit] += 1


def trace_of(request: Request) -> str | None:
    """The trace id of a W3C `traceparent` (version-trace-parent-flags), or None."""
    parts = request.headers.get("traceparent", "").split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or not _is_hex(parts[1]) or set(parts[1]) == {"0"}:
        return None
    return parts[1][:TRACE_ID_MAX]


async def read_body(request: Request, *, size_max: int, limit: str) -> bytes:
    """The body, or BodyTooLarge as soon as it is too long: the rest is never read."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > size_max:
        raise BodyTooLarge(too_large(int(declared), size_max, limit=limit))
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message["body"])
        size += len(pieces[-1])
        if size > size_max:
            raise BodyTooLarge(too_large(size, size_max, limit=limit))
        if not message["more_body"]:
            return b"".join(pieces)  # of one piece, as nearly always, the very bytes


def _wants_problem(request: HTTPConnection) -> bool:
    return PROBLEM in request.headers.get("accept", "")


def _with_retry(response: Response, refused: Rejection | ErrorObject) -> Response:
    if (seconds := retry_after_s(refused.details)) is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def _is_hex(text: str) -> bool:
    return all(c in "0123456789abcdef" for c in text)
