"""The published schemas: JSON Schema of every command and event, and OpenAPI 3.1 of the routes.

All of it is made from the typed definitions; nothing is written twice.
"""

from functools import lru_cache
from typing import Final

import msgspec

from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.registry import COMMANDS, EVENTS
from moduprompt.protocol import (
    Accepted,
    CommandEnvelope,
    CommandRejected,
    ErrorObject,
    EventEnvelope,
    Ping,
    Ready,
    RefusedAnswer,
    Schema,
    to_components,
    to_schema,
)
from moduprompt.views.board import Board

OPENAPI_VERSION: Final = "3.1.0"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One published definition."""

    type: str
    version: int
    path: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/schemas`."""

    commands: tuple[Listed, ...]
    events: tuple[Listed, ...]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One route, as it is published."""

    method: str
    path: str
    summary: str
    query: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    media_type: str = "application/json"
    is_open: bool = False


def listing() -> Listing:
    """Every command and event, with where its schema is served."""
    return Listing(
        commands=tuple(
            Listed(type=wire, version=version, path=f"/v1/schemas/commands/{wire}/{version}")
            for wire, version in sorted(COMMANDS)
        ),
        events=tuple(
            Listed(type=wire, version=version, path=f"/v1/schemas/events/{wire}/{version}")
            for wire, version in sorted(EVENTS)
        ),
    )


def schema_of(family: str, wire: str, version: int) -> Schema | None:
    """The schema of a payload, or None where there is none."""
    found = {"commands": COMMANDS, "events": EVENTS}.get(family, {}).get((wire, version))
    return None if found is None else to_schema(found, title=f"{wire} v{version}")


@lru_cache(maxsize=1)
def openapi(version: str) -> Schema:
    """The whole surface over HTTP."""
    payloads = tuple(COMMANDS.values()) + tuple(EVENTS.values())
    operations = operations_served()
    named = {each for op in operations for each in (op.body, op.answer) if each is not None}
    kinds = tuple(sorted(named | {ErrorObject, EventEnvelope, CommandRejected, *payloads}, key=_name))
    references, components = to_components(kinds)
    reference_of = dict(zip(kinds, references, strict=True))
    paths: dict[str, dict[str, object]] = {}
    for op in operations:
        paths.setdefault(op.path, {})[op.method] = _operation(op, reference_of)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {"title": "ModuPrompt", "version": version, "license": {"name": "Apache-2.0"}},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def operations_served() -> tuple[Operation, ...]:
    """Every route; a test compares it with the app's own list."""
    stream = ("workspace_id", "from", "types", "project_id", "subject")
    fixed = (
        Operation(
            method="get", path="/v1/daemon/ping", summary="Liveness and version", answer=Ping, is_open=True
        ),
        Operation(method="get", path="/v1/daemon/ready", summary="Readiness", answer=Ready),
        Operation(method="get", path="/v1/metrics", summary="Metrics", media_type="text/plain"),
        Operation(
            method="post",
            path="/v1/commands/submit",
            summary="Submit one command",
            body=CommandEnvelope,
            answer=Accepted,
        ),
        Operation(method="post", path="/v1/commands/batch", summary="Submit up to 1,000 commands"),
        Operation(
            method="get",
            path="/v1/events",
            summary="Events after a sequence",
            query=(*stream, "limit", "raw"),
        ),
        Operation(
            method="get",
            path="/v1/events/stream",
            summary="Events as they come (SSE)",
            query=stream,
            media_type="text/event-stream",
        ),
        Operation(
            method="get",
            path="/v1/events/stream-ndjson",
            summary="Events as they come (NDJSON)",
            query=stream,
            media_type="application/x-ndjson",
        ),
        Operation(method="get", path="/v1/log/head", summary="Where a log stands", query=("workspace_id",)),
        Operation(
            method="get",
            path="/v1/board",
            summary="The board of a workspace",
            query=("workspace_id", "stale"),
            answer=Board,
        ),
        _bytes("/v1/artifacts/{ref}", "An artifact by its hash"),
        _bytes("/v1/runs/{id}/output", "What a run printed", query=("workspace_id", "from", "follow")),
        _bytes("/v1/runs/{id}/recording", "A run's recording", query=("workspace_id",)),
        Operation(method="get", path="/v1/schemas", summary="What is published", answer=Listing),
        Operation(method="get", path="/v1/schemas/{family}/{type}/{version}", summary="One JSON Schema"),
        Operation(method="get", path="/v1/openapi.json", summary="This document"),
    )
    return (*fixed, *_collections())


def _collections() -> tuple[Operation, ...]:
    found: list[Operation] = []
    for view in VIEWS:
        for name, kind in view.collections:
            found.append(
                Operation(
                    method="get",
                    path=f"/v1/{name}",
                    summary=f"The {name} of a workspace",
                    query=("workspace_id", "cursor", "limit", "stale"),
                )
            )
            found.append(
                Operation(
                    method="get",
                    path=f"/v1/{name}/{{id}}",
                    summary=f"One of the {name}",
                    query=("workspace_id", "stale"),
                    answer=kind,
                )
            )
    return tuple(found)


def _bytes(path: str, summary: str, *, query: tuple[str, ...] = ()) -> Operation:
    return Operation(
        method="get", path=path, summary=summary, query=query, media_type="application/octet-stream"
    )


def _operation(op: Operation, reference_of: dict[type[msgspec.Struct], Schema]) -> Schema:
    answer: Schema = {} if op.answer is None else {"schema": reference_of[op.answer]}
    error = {"application/json": {"schema": reference_of[ErrorObject]}}
    refused = reference_of.get(RefusedAnswer)
    if refused is not None:
        error = {"application/json": {"schema": {"anyOf": [reference_of[ErrorObject], refused]}}}
    described: Schema = {
        "summary": op.summary,
        "operationId": f"{op.method}{op.path}".replace("/", "_").replace("{", "").replace("}", ""),
        "parameters": [_parameter(name, op) for name in (*_in_path(op.path), *op.query)],
        "responses": {
            "200": {"description": "What was asked for", "content": {op.media_type: answer}},
            "default": {"description": "A refusal", "content": error},
        },
    }
    if op.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": reference_of[op.body]}},
        }
    if op.is_open:
        described["security"] = []
    return described


def _parameter(name: str, op: Operation) -> Schema:
    in_path = name in _in_path(op.path)
    place = "path" if in_path else "query"
    return {"name": name, "in": place, "required": in_path, "schema": {"type": "string"}}


def _in_path(path: str) -> tuple[str, ...]:
    return tuple(part[1:-1] for part in path.split("/") if part.startswith("{"))


def _name(kind: type[msgspec.Struct]) -> str:
    return f"{kind.__name__}/{kind.__module__}"
