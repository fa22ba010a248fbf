"""What is served: the schema of every command and event, and every route as it is published.

All of it is made from the typed definitions; nothing is written twice.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from moduprompt.domain.artifact.view import VIEW as ARTIFACTS_VIEW
from moduprompt.domain.artifact.view import ArtifactItem
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.hit import SearchHit
from moduprompt.domain.registry import COMMANDS, EVENTS
from moduprompt.protocol import (
    COMMAND_REJECTED,
    Accepted,
    AgentPrograms,
    CommandEnvelope,
    CommandRejected,
    EventEnvelope,
    Ping,
    Ready,
    Recovery,
    Schema,
    ViewReport,
    ViewReports,
    to_schema,
)
from moduprompt.server.replies import LogHead
from moduprompt.views.board import Board

Kind: TypeAlias = type[msgspec.Struct]
Shape: TypeAlias = Literal["one", "page", "events", "batch"]
"""How an answer holds what it is made of: itself, in a page, as a page of events, as answers to a batch."""

PUBLISHED_EVENTS: Final[dict[tuple[str, int], Kind]] = {**EVENTS, (COMMAND_REJECTED, 1): CommandRejected}
ARTIFACTS: Final = ARTIFACTS_VIEW.name
FOLLOWED: Final = ("workspace_id", "from", "types", "project_id", "subject")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One published definition."""

    type: str
    version: int
    path: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/schemas`."""

    commands: tuple[Listed, ...]
    events: tuple[Listed, ...]


class JsonSchema(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON Schema 2020-12 document, or an OpenAPI one: an object of its own kind."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One route, as it is published. `answer` is what a JSON answer is made of."""

    path: str
    summary: str
    method: Literal["get", "post"] = "get"
    query: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    body: Kind | None = None
    body_media_type: str = "application/json"
    answer: Kind | None = None
    shape: Shape = "one"
    media_type: str = "application/json"
    is_open: bool = False


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(path="/v1/daemon/ping", summary="Liveness and version", answer=Ping, is_open=True),
    Operation(path="/v1/daemon/ready", summary="Readiness", answer=Ready),
    Operation(path="/v1/recovery", summary="What the daemon found when it started", answer=Recovery),
    Operation(
        path="/v1/agents",
        summary="The agent programs that the daemon knows, and what it finds of them",
        query=("versions",),
        answer=AgentPrograms,
    ),
    Operation(path="/v1/metrics", summary="Metrics", media_type="text/plain"),
    Operation(
        method="post",
        path="/v1/commands/submit",
        summary="Submit one command",
        body=CommandEnvelope,
        answer=Accepted,
    ),
    Operation(
        method="post",
        path="/v1/commands/batch",
        summary="Submit up to 1,000 commands of one workspace",
        body=CommandEnvelope,
        answer=Accepted,
        shape="batch",
    ),
    Operation(
        path="/v1/events",
        summary="Events after a sequence",
        query=(*FOLLOWED, "limit", "raw", "as_of"),
        requires=("workspace_id",),
        answer=EventEnvelope,
        shape="events",
    ),
    Operation(
        path="/v1/events/stream",
        summary="Events as they come (SSE)",
        query=FOLLOWED,
        requires=("workspace_id",),
        media_type="text/event-stream",
    ),
    Operation(
        path="/v1/events/stream-ndjson",
        summary="Events as they come (NDJSON)",
        query=FOLLOWED,
        requires=("workspace_id",),
        media_type="application/x-ndjson",
    ),
    Operation(
        path="/v1/log/head",
        summary="Where a log stands",
        query=("workspace_id", "as_of"),
        requires=("workspace_id",),
        answer=LogHead,
    ),
    Operation(
        path="/v1/log/export",
        summary="A workspace as a bundle for another machine",
        query=("workspace_id",),
        requires=("workspace_id",),
        media_type="application/x-tar",
    ),
    Operation(
        method="post",
        path="/v1/log/import",
        summary="Import a bundle; the workspace is frozen until it is adopted",
        body_media_type="application/octet-stream",
        answer=LogHead,
    ),
    Operation(
        path="/v1/board",
        summary="The board of a workspace",
        query=("workspace_id", "stale", "as_of"),
        requires=("workspace_id",),
        answer=Board,
    ),
    Operation(
        path="/v1/search",
        summary="What in a workspace holds the words, the best match first",
        query=("workspace_id", "q", "kind", "cursor", "limit", "stale", "as_of"),
        requires=("workspace_id", "q"),
        answer=SearchHit,
        shape="page",
    ),
    Operation(path="/v1/views", summary="The read models and how far each has come", answer=ViewReports),
    Operation(
        method="post",
        path="/v1/views/{name}/rebuild",
        summary="Fold a read model from the first event again, while the old rows serve",
        answer=ViewReport,
    ),
    Operation(
        path="/v1/artifacts/{ref}",
        summary="The bytes of an artifact",
        query=("workspace_id",),
        media_type="application/octet-stream",
    ),
    Operation(
        path="/v1/artifacts/{ref}/about",
        summary="What is known of an artifact",
        query=("workspace_id", "stale", "as_of"),
        requires=("workspace_id",),
        answer=ArtifactItem,
    ),
    Operation(
        path="/v1/runs/{id}/output",
        summary="What a run printed",
        query=("workspace_id", "from", "follow"),
        media_type="application/octet-stream",
    ),
    Operation(
        path="/v1/runs/{id}/recording",
        summary="A run's recording",
        query=("workspace_id",),
        media_type="application/octet-stream",
    ),
    Operation(path="/v1/schemas", summary="What is published", answer=Listing),
    Operation(
        path="/v1/schemas/{family}/{type}/{version}", summary="One JSON Schema 2020-12", answer=JsonSchema
    ),
    Operation(path="/v1/openapi.json", summary="This document", answer=JsonSchema),
)


def listing() -> Listing:
    """Every command and event, with where its schema is served."""
    return Listing(commands=_listed("commands", COMMANDS), events=_listed("events", PUBLISHED_EVENTS))


def schema_of(family: str, wire: str, version: int) -> Schema | None:
    """The schema of a payload, or None where there is none."""
    families: dict[str, Mapping[tuple[str, int], Kind]] = {"commands": COMMANDS, "events": PUBLISHED_EVENTS}
    found = families.get(family, {}).get((wire, version))
    return None if found is None else to_schema(found, title=f"{wire} v{version}")


def operations_served() -> tuple[Operation, ...]:
    """Every route; a test compares it with the app's own list."""
    collections = [each for view in VIEWS for name, kind in view.collections for each in _of(name, kind)]
    return (*OPERATIONS, *collections)


def _of(name: str, kind: Kind) -> tuple[Operation, ...]:
    """The two routes of a collection. A workspace lies in none; an artifact's own name leads to its bytes."""
    home = () if name == "workspaces" else ("workspace_id",)
    many = Operation(
        path=f"/v1/{name}",
        summary=f"The {name} of a workspace" if home else "The workspaces",
        query=(*home, "cursor", "limit", "stale", "as_of"),
        requires=home,
        answer=kind,
        shape="page",
    )
    one = Operation(
        path=f"/v1/{name}/{{id}}",
        summary=f"One of the {name}",
        query=("workspace_id", "stale", "as_of"),
        answer=kind,
    )
    return (many,) if name == ARTIFACTS else (many, one)


def _listed(family: str, kinds: Mapping[tuple[str, int], Kind]) -> tuple[Listed, ...]:
    return tuple(
        Listed(type=wire, version=version, path=f"/v1/schemas/{family}/{wire}/{version}")
        for wire, version in sorted(kinds)
    )
