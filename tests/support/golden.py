"""Golden files derived from the types: public names, and the schemas of everything on the wire."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

import moduprompt.protocol
from moduprompt.domain.registry import COMMANDS, EVENTS
from moduprompt.protocol import (
    Accepted,
    CommandEnvelope,
    CommandRejected,
    ErrorObject,
    EventEnvelope,
    EventPage,
    Page,
    Ping,
    Problem,
    Ready,
    RefusedAnswer,
    to_schema,
    to_stable_json,
)
from moduprompt.server.openapi import openapi

GOLDEN = Path(__file__).resolve().parent.parent / "golden"

ENVELOPES: Mapping[str, type[msgspec.Struct]] = {
    "command": CommandEnvelope,
    "event": EventEnvelope,
    "accepted": Accepted,
    "refused": RefusedAnswer,
    "error": ErrorObject,
    "problem": Problem,
    "page": Page,
    "event_page": EventPage,
    "ping": Ping,
    "ready": Ready,
}


def public_names() -> dict[str, bytes]:
    """What clients may import, one name a line."""
    return {"all.txt": "".join(f"{name}\n" for name in sorted(moduprompt.protocol.__all__)).encode()}


def schemas() -> dict[str, bytes]:
    """A JSON Schema for each command, event and envelope, by the path it is kept at."""
    kinds: dict[str, type[msgspec.Struct]] = {
        f"envelopes/{name}.json": kind for name, kind in ENVELOPES.items()
    }
    kinds |= {f"commands/{wire}.v{version}.json": kind for (wire, version), kind in COMMANDS.items()}
    kinds |= {f"events/{wire}.v{version}.json": kind for (wire, version), kind in EVENTS.items()}
    kinds["events/command.rejected.v1.json"] = CommandRejected
    return {
        path: to_stable_json(to_schema(kind, title=path.removesuffix(".json").partition("/")[2]))
        for path, kind in kinds.items()
    }


def openapi_document() -> dict[str, bytes]:
    """The whole surface over HTTP, under a version that does not change with each release."""
    return {"openapi.json": to_stable_json(openapi("0.0.0"))}
