"""The published routes as an OpenAPI 3.1 document, whose schemas are those of the types themselves."""

from functools import lru_cache
from typing import Final

import msgspec

from moduprompt.domain.registry import COMMANDS
from moduprompt.protocol import (
    BATCH_MAX,
    CURSOR_MAX,
    ID_PATTERN,
    REF_PATTERN,
    SEQ_MAX,
    CommandEnvelope,
    ErrorObject,
    EventEnvelope,
    Problem,
    RefusedAnswer,
    Schema,
    to_components,
)
from moduprompt.server.catalogue import PUBLISHED_EVENTS, Kind, Operation, operations_served
from moduprompt.views.search import KINDS
from moduprompt.views.search_words import QUERY_MAX

OPENAPI_VERSION: Final = "3.1.0"
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": SEQ_MAX}
_TEXT: Final[Schema] = {"type": "string"}
_ID: Final[Schema] = {"type": "string", "pattern": ID_PATTERN}

# What a parameter is, by its name: the same one means the same everywhere.
PARAMETERS: Final[dict[str, tuple[str, Schema]]] = {
    "workspace_id": ("The workspace", _ID),
    "from": (
        "The last sequence, or byte, that the client has; what follows is sent. Events: `head` is allowed",
        {"anyOf": [_COUNT, {"const": "head"}], "default": 0},
    ),
    "limit": ("How many at most", {"type": "integer", "minimum": 1, "maximum": 1_000}),
    "raw": ("`1`: the stored bytes that the hashes are made of", {"enum": ["0", "1"]}),
    "types": ("Event types, by commas; each may end in `*`", {"type": "string", "maxLength": 4_096}),
    "project_id": ("Events of one project", _ID),
    "subject": ("Events of one subject: `kind:id`", {"type": "string", "pattern": "^[^:]+:.+$"}),
    "q": (
        "Words, or their beginnings; or the beginning or end of an id. At least one letter or digit",
        {"type": "string", "minLength": 1, "maxLength": QUERY_MAX, "pattern": "[A-Za-z0-9]"},
    ),
    "kind": ("Only what is of this kind", {"enum": list(KINDS)}),
    "cursor": ("`next` of the page before", {"type": "string", "maxLength": CURSOR_MAX}),
    "stale": ("`ok`: do not wait until the view has caught up", {"const": "ok"}),
    "as_of": (
        "Answer as when the log ended at this sequence or time; a list of workspaces takes a time only",
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": SEQ_MAX},
                {"type": "string", "format": "date-time"},
            ]
        },
    ),
    "versions": ("`1`: ask the programs for their versions", {"enum": ["0", "1"]}),
    "follow": ("`1`: go on until the run ends", {"enum": ["0", "1"]}),
    "ref": ("`blake3:` and 64 hexadecimal digits", {"type": "string", "pattern": REF_PATTERN}),
    "id": ("Its id", _ID),
    "name": ("The name of a read model, as `/v1/views` lists it", _TEXT),
    "family": ("Which of the two", {"enum": ["commands", "events"]}),
    "type": ("The name on the wire", _TEXT),
    "version": ("The schema version", {"type": "integer", "minimum": 1, "maximum": 999}),
}

# Which refusals an operation can answer with, by the status of their code; each status has one code but 500.
OPEN: Final = ("500", "503")  # of whoever asks without a token
ASKED: Final = ("400", "401", "403", "404", "500", "503")  # of whoever asks for anything with a token
JUDGED: Final = (*ASKED, "409", "422")  # of a command that is answered by itself
IMPOSSIBLE_AT_TIMES: Final = (
    "/v1/log/export",
)  # the system workspace is not exported; `as_of` may lie ahead
REFUSALS: Final[dict[str, str]] = {
    "400": "Not well-formed, or no such command",
    "401": "No or wrong credentials",
    "403": "Policy, an approval or a hook refused",
    "404": "No such thing, or not visible to this actor",
    "409": "The subject moved on",
    "422": "Well-formed, but not possible in this state",
    "500": "A fault of the daemon's",
    "503": "Starting, draining, overloaded or a full disk; `Retry-After` says when to come again",
}
COMMAND, REFUSAL, JUDGED_REFUSAL = "Command", "Refused", "RefusedCommand"  # names of components


@lru_cache(maxsize=1)
def openapi(version: str) -> Schema:
    """The whole surface over HTTP."""
    operations = operations_served()
    named = {kind for op in operations for kind in (op.body, op.answer) if kind is not None}
    always: set[Kind] = {ErrorObject, Problem, RefusedAnswer, EventEnvelope}
    payloads: set[Kind] = {*COMMANDS.values(), *PUBLISHED_EVENTS.values()}
    kinds = tuple(sorted(named | always | payloads, key=lambda kind: (kind.__name__, kind.__module__)))
    references, components = to_components(kinds)
    refers_to = dict(zip(kinds, references, strict=True))
    paths: dict[str, dict[str, Schema]] = {}
    for op in operations:
        paths.setdefault(op.path, {})[op.method] = _operation(op, refers_to)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "ModuPrompt",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://localhost", "description": "The daemon's Unix socket: see daemon.json"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**components, COMMAND: _command(refers_to)},
            "responses": _responses(refers_to),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(op: Operation, refers_to: dict[Kind, Schema]) -> Schema:
    described: Schema = {
        "summary": op.summary,
        "operationId": _name(op),
        "parameters": [_parameter(name, op) for name in (*_in_path(op.path), *op.query)],
        "responses": {
            "200": {
                "description": "What was asked for",
                "content": {op.media_type: _content(_answer(op, refers_to))},
            },
            **_refusals(op),
        },
    }
    if op.body is not None:
        body: Schema = {"$ref": f"#/components/schemas/{COMMAND}"}
        many: Schema = {"type": "array", "items": body, "maxItems": BATCH_MAX}
        schema = body if op.shape == "one" else _object(commands=many)
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    elif op.method == "post":
        described["requestBody"] = {"required": True, "content": {op.body_media_type: {}}}
    if op.is_open:
        described["security"] = []
    return described


def _answer(op: Operation, refers_to: dict[Kind, Schema]) -> Schema | None:
    if op.answer is None:
        return None
    what = refers_to[op.answer]
    match op.shape:
        case "one":
            return what
        case "batch":
            either = {"anyOf": [what, refers_to[RefusedAnswer]]}
            return _object(answers={"type": "array", "items": either})
        case "events":
            return _object(items={"type": "array", "items": what}, seq_global=_COUNT)
        case "page":
            page = _object(items={"type": "array", "items": what}, seq_global=_COUNT)
            return {**page, "properties": {**_properties(page), "next": _TEXT}}


def _command(refers_to: dict[Kind, Schema]) -> Schema:
    """An envelope with the payload of its type: everything that somebody may send."""
    told: list[Schema] = []
    for (wire, version), kind in sorted(COMMANDS.items()):
        if not kind.internal:
            fields = {
                "type": {"const": wire},
                "schema_version": {"const": version},
                "payload": refers_to[kind],
            }
            told.append({"title": wire, "properties": fields})
    key: Schema = {"properties": {"idempotency_key": {"type": "string"}}, "required": ["idempotency_key"]}
    return {"allOf": [refers_to[CommandEnvelope], key, {"anyOf": told}]}


def _refusals(op: Operation) -> Schema:
    is_judged = op.body is not None and op.shape == "one"
    statuses = OPEN if op.is_open else JUDGED if op.method == "post" else ASKED
    statuses += ("422",) if "as_of" in op.query or op.path in IMPOSSIBLE_AT_TIMES else ()
    name = JUDGED_REFUSAL if is_judged else REFUSAL
    return {each: {"$ref": f"#/components/responses/{name}{each}"} for each in sorted(statuses)}


def _responses(refers_to: dict[Kind, Schema]) -> Schema:
    """Each refusal once: as an error object, and as the answer to a command."""
    error: Schema = refers_to[ErrorObject]
    either: Schema = {"anyOf": [refers_to[RefusedAnswer], error]}
    problem: Schema = {"schema": refers_to[Problem]}
    return {
        f"{name}{status}": {
            "description": description,
            "content": {"application/json": {"schema": said}, "application/problem+json": problem},
        }
        for name, said in ((REFUSAL, error), (JUDGED_REFUSAL, either))
        for status, description in REFUSALS.items()
    }


def _parameter(name: str, op: Operation) -> Schema:
    in_path = name in _in_path(op.path)
    description, schema = PARAMETERS[name]
    return {
        "name": name,
        "in": "path" if in_path else "query",
        "required": in_path or name in op.requires,
        "description": description,
        "schema": schema,
    }


def _content(schema: Schema | None) -> Schema:
    return {} if schema is None else {"schema": schema}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _properties(schema: Schema) -> dict[str, object]:
    return msgspec.convert(schema["properties"], dict[str, object])


def _in_path(path: str) -> tuple[str, ...]:
    return tuple(part[1:-1] for part in path.split("/") if part.startswith("{"))


def _name(op: Operation) -> str:
    words = op.path.removeprefix("/v1/").replace("{", "").replace("}", "").replace("-", "_").replace(".", "_")
    return f"{op.method}_{words.replace('/', '_')}"
