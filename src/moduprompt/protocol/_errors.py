"""The closed table of refusals: one code, one HTTP status, one exit status of the CLI.

A refusal is a value (`Rejection`). The error object is what a client sees when its
request was no command envelope at all, or no command.
"""

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec


class Code(StrEnum):
    """Why something was refused; the names are the wire's."""

    INVALID_SCHEMA = "invalid_schema"
    UNKNOWN_COMMAND = "unknown_command"
    IDEMPOTENCY_KEY_REQUIRED = "idempotency_key_required"
    VALIDATION_FAILED = "validation_failed"
    EXPECTED_VERSION_MISMATCH = "expected_version_mismatch"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    POLICY_DENIED = "policy_denied"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"
    INTERNAL = "internal"


HTTP_STATUS: Final[dict[Code, int]] = {
    Code.INVALID_SCHEMA: 400,
    Code.UNKNOWN_COMMAND: 400,
    Code.IDEMPOTENCY_KEY_REQUIRED: 400,
    Code.VALIDATION_FAILED: 422,
    Code.EXPECTED_VERSION_MISMATCH: 409,
    Code.UNAUTHORIZED: 401,
    Code.NOT_FOUND: 404,
    Code.POLICY_DENIED: 403,
    Code.UNAVAILABLE: 503,
    Code.UNKNOWN: 500,
    Code.INTERNAL: 500,
}

EXIT_STATUS: Final[dict[Code, int]] = {
    Code.INVALID_SCHEMA: 2,
    Code.UNKNOWN_COMMAND: 2,
    Code.IDEMPOTENCY_KEY_REQUIRED: 2,
    Code.VALIDATION_FAILED: 8,
    Code.EXPECTED_VERSION_MISMATCH: 3,
    Code.UNAUTHORIZED: 4,
    Code.NOT_FOUND: 5,
    Code.POLICY_DENIED: 6,
    Code.UNAVAILABLE: 7,
    Code.UNKNOWN: 1,
    Code.INTERNAL: 1,
}

EXIT_USAGE: Final = 2
EXIT_TIMEOUT: Final = 124
EXIT_INTERRUPT: Final = 130
RETRY_AFTER_S: Final = 1  # long enough for a full inbox to drain, short enough not to be felt


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One place in a document that does not fit: an RFC 6901 pointer and why."""

    pointer: str
    message: str


Detail: TypeAlias = str | int | bool | list[str | FieldError] | None
Details: TypeAlias = dict[str, Detail]


class Rejection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal. `message` says what and which id; `hint` says what to do next."""

    code: Code
    message: str
    details: Details | None = None
    hint: str | None = None


class ErrorObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an answer to what was no command."""

    code: Code
    message: str
    details: Details | None = None
    hint: str | None = None
    trace_id: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The same answer as RFC 9457 `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
    code: Code
    details: Details | None = None
    hint: str | None = None
    trace_id: str | None = None


class Refused(Exception):
    """Carries a rejection through code that reads or parses on behalf of a client."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.message)
        self.rejection = rejection


def refusal(
    code: Code, message: str, *, hint: str | None = None, details: Details | None = None
) -> Rejection:
    """A rejection in one line. What is `unavailable` says when to come again."""
    if code is Code.UNAVAILABLE:
        details = {"retry_after_s": RETRY_AFTER_S, **(details or {})}
    return Rejection(code=code, message=message, hint=hint, details=details)


def overloaded(limit: str, message: str, *, hint: str) -> Rejection:
    """`unavailable`, because a bound is reached; `limit` is its name in `docs/limits.md` and in the metrics."""
    return refusal(Code.UNAVAILABLE, message, hint=hint, details={"limit": limit})


def retry_after_s(details: Details | None) -> int | None:
    """When to come again, where that helps: `Retry-After` in HTTP."""
    seconds = (details or {}).get("retry_after_s")
    return seconds if isinstance(seconds, int) else None


def invalid(reason: str, message: str, *, hint: str | None = None, **details: Detail) -> Rejection:
    """`validation_failed` with the rule that refused as `details.reason`."""
    return Rejection(
        code=Code.VALIDATION_FAILED, message=message, hint=hint, details={"reason": reason, **details}
    )


def missing(kind: str, id_: str, *, hint: str | None = None) -> Rejection:
    """`not_found`: no such thing, or not visible to whoever asks; the two look alike."""
    return Rejection(
        code=Code.NOT_FOUND,
        message=f"{kind} {id_} does not exist or is not visible to you",
        hint=hint or f"mpctl {kind} list",
        details={"kind": kind, "id": id_},
    )


def to_error(rejection: Rejection, trace_id: str | None = None) -> ErrorObject:
    """The error object that says the same."""
    return ErrorObject(
        code=rejection.code,
        message=rejection.message,
        details=rejection.details,
        hint=rejection.hint,
        trace_id=trace_id,
    )


def to_problem(error: ErrorObject) -> Problem:
    """The RFC 9457 form that says the same."""
    return Problem(
        type=f"urn:moduprompt:error:{error.code.value}",
        title=error.code.value.replace("_", " "),
        status=HTTP_STATUS[error.code],
        detail=error.message,
        code=error.code,
        details=error.details,
        hint=error.hint,
        trace_id=error.trace_id,
    )
