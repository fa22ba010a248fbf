"""Bytes to typed values and back, strictly: the only place where a wire is trusted.

Guarantees: bounded input (size first, nesting by the decoder); unknown fields of a
command are refused; a failure names a JSON pointer (RFC 6901) and never echoes the
value. Event decoding is the opposite: unknown fields are ignored, so that old clients
read new logs.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar, cast

import msgspec

from moduprompt.protocol._envelopes import CommandEnvelope, EventEnvelope
from moduprompt.protocol._errors import Code, Details, FieldError, Rejection

COMMAND_BYTES_MAX: Final = 4 * 1024 * 1024  # a prompt of TEXT_MAX characters, each of up to four bytes
BATCH_MAX: Final = 1_000  # the contract's bound

_T = TypeVar("_T")
_PATH: Final = re.compile(r" - at `(?P<path>\$[^`]*)`$")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<name>.*?)`", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(?P<name>[^`]*)`")
_TOO_LONG: Final = re.compile(r"^Expected `\w+` of length <= ")

_encoder = msgspec.json.Encoder()
_command_decoder = msgspec.json.Decoder(CommandEnvelope)
_event_decoder = msgspec.json.Decoder(EventEnvelope)


def encode(value: object) -> bytes:
    """The JSON bytes of a protocol value: UTF-8, fields in declared order, no spaces."""
    return _encoder.encode(value)


def decode(data: bytes | msgspec.Raw, kind: type[_T]) -> _T | Rejection:
    """The typed value, or `invalid_schema` with the pointers that do not fit."""
    decoder = cast("msgspec.json.Decoder[_T]", _decoder(kind))  # a cached function forgets its type variable
    return _decoded(decoder.decode, data)


def decode_command(body: bytes) -> CommandEnvelope | Rejection:
    """A command envelope, its payload still raw."""
    if len(body) > COMMAND_BYTES_MAX:
        return too_large(len(body), COMMAND_BYTES_MAX, limit="body_bytes")
    return _decoded(_command_decoder.decode, body)


def decode_event(data: bytes | msgspec.Raw) -> EventEnvelope:
    """A stored or streamed event. Raises msgspec.DecodeError on damage."""
    try:
        return _event_decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as fault:
        raise msgspec.DecodeError(str(fault)) from fault


def too_large(size: int, size_max: int, *, limit: str) -> Rejection:
    """The refusal of a body above its bound; `limit` is the bound's name in `docs/limits.md`."""
    return Rejection(
        code=Code.INVALID_SCHEMA,
        message=f"the body has {size} bytes or more; at most {size_max} are taken",
        details={
            "limit": limit,
            "size": size,
            "size_max": size_max,
            "errors": [FieldError(pointer="", message="is larger than what is taken")],
        },
        hint="send long text as a file the agent can read, or split the batch",
    )


def misfit(pointer: str, message: str, *, hint: str | None = None, limit: str | None = None) -> Rejection:
    """`invalid_schema` at one place; `limit` names the bound that was passed, where it was one."""
    named: Details = {} if limit is None else {"limit": limit}
    return Rejection(
        code=Code.INVALID_SCHEMA,
        message=_printable(f"{pointer or 'the document'}: {message}"),
        details={**named, "errors": [FieldError(pointer=pointer, message=message)]},
        hint=hint,
    )


def _decoded(read: Callable[[bytes | msgspec.Raw], _T], data: bytes | msgspec.Raw) -> _T | Rejection:
    try:
        return read(data)
    except msgspec.ValidationError as fault:
        return _misfit(str(fault))
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        return _broken(str(fault))
    except RecursionError:
        return _broken("it is nested too deeply")


@lru_cache(maxsize=512)
def _decoder(kind: type[object]) -> msgspec.json.Decoder[object]:
    return msgspec.json.Decoder(kind)


def _broken(reason: str) -> Rejection:
    return Rejection(
        code=Code.INVALID_SCHEMA,
        message=f"the body is not one JSON document: {reason}",
        details={"errors": [FieldError(pointer="", message=reason)]},
        hint="send one UTF-8 JSON object",
    )


def _misfit(text: str) -> Rejection:
    at = _PATH.search(text)
    pointer = _to_pointer(at["path"]) if at else ""
    message = text[: at.start()] if at else text
    for pattern in (_UNKNOWN, _MISSING):
        named = pattern.match(message)
        if named:
            pointer = f"{pointer}/{_escape(named['name'][:80])}"
    limit = "field_length" if _TOO_LONG.match(message) else None
    return misfit(pointer, _without_value(message), hint="the schemas are served at /v1/schemas", limit=limit)


def _without_value(message: str) -> str:
    """The decoder's words without what was sent."""
    if message.startswith("Invalid "):  # "Invalid enum value 'sent'", "Invalid value 'sent'"
        return "is none of the values that are allowed here"
    if message.startswith("Expected `str` matching regex "):  # a pattern is no sentence: the schema has it
        return "does not have the form that the schema asks for, or holds a control character"
    return _printable(message[:300])


def _printable(message: str) -> str:
    """Fit for a terminal: names of unknown fields come from outside."""
    return message if message.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in message)


def _to_pointer(path: str) -> str:
    return "".join(f"/{_escape(key or index)}" for key, index in _STEP.findall(path))


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
