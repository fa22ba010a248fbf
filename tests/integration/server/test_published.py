"""What the daemon publishes about itself is what it does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import jsonschema
import msgspec
import pytest

from moduprompt.domain.registry import COMMANDS, EVENTS
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.protocol import SYSTEM_WORKSPACE, encode
from moduprompt.server.app import collection_routes, fixed_routes
from moduprompt.server.catalogue import operations_served
from moduprompt.server.openapi import openapi
from tests.support.golden import GOLDEN, openapi_document
from tests.support.served import Served, envelope

DOCUMENT: dict[str, object] = json.loads(encode(openapi("0.0.0")))
METHODS = {"GET", "POST"}


def walk(value: object, path: str = "#") -> Iterator[tuple[str, dict[str, object]]]:
    """Every object of a document, with where it stands."""
    if isinstance(value, dict):
        found = msgspec.convert(value, dict[str, object])
        yield path, found
        for name, inner in found.items():
            yield from walk(inner, f"{path}/{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(msgspec.convert(value, list[object])):
            yield from walk(inner, f"{path}/{number}")


def at(pointer: str) -> object:
    """What a reference within the document leads to."""
    found: object = DOCUMENT
    for step in pointer.removeprefix("#/").split("/"):
        found = msgspec.convert(found, dict[str, object])[step]
    return found


def test_every_route_is_published_and_every_published_route_is_served() -> None:
    served = {
        (method, route.path)
        for route in (*fixed_routes(), *collection_routes())
        for method in METHODS & (route.methods or set())
    }

    assert served == {(op.method.upper(), op.path) for op in operations_served()}


def test_the_document_is_the_golden_one() -> None:
    for name, content in openapi_document().items():
        assert (GOLDEN / "openapi" / name).read_bytes() == content, "make golden, and read the diff"


def test_every_reference_of_the_document_leads_somewhere() -> None:
    references = [each["$ref"] for _, each in walk(DOCUMENT) if isinstance(each.get("$ref"), str)]

    assert len(references) > 50
    for reference in references:
        assert at(str(reference))


def test_every_schema_of_the_document_is_one() -> None:
    schemas = msgspec.convert(at("#/components/schemas"), dict[str, object])
    inline = [each["schema"] for _, each in walk(DOCUMENT["paths"]) if "schema" in each]

    for schema in (*schemas.values(), *inline):
        jsonschema.Draft202012Validator.check_schema(schema)  # pyright: ignore[reportUnknownMemberType, reportArgumentType]


def test_every_operation_has_a_name_of_its_own_and_names_its_parameters() -> None:
    names: list[object] = []
    for path, methods in msgspec.convert(DOCUMENT["paths"], dict[str, dict[str, dict[str, object]]]).items():
        for operation in methods.values():
            names.append(operation["operationId"])
            parameters = msgspec.convert(operation["parameters"], list[dict[str, object]])
            in_path = {each["name"] for each in parameters if each["in"] == "path"}
            assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert len({each["name"] for each in parameters}) == len(parameters)

    assert len(set(names)) == len(names)


def test_only_liveness_is_open() -> None:
    operations = msgspec.convert(DOCUMENT["paths"], dict[str, dict[str, dict[str, object]]])

    assert [
        path for path, methods in operations.items() if any("security" in op for op in methods.values())
    ] == ["/v1/daemon/ping"]


async def test_the_document_is_served_with_the_daemons_version(daemon: Served) -> None:
    reply = await daemon.get("/v1/openapi.json")

    served = reply.json()
    assert msgspec.convert(served["info"], dict[str, object])["version"] == "1.2.3"
    assert served["paths"] == DOCUMENT["paths"]


class Listed(msgspec.Struct, frozen=True):
    type: str
    version: int
    path: str


class Listing(msgspec.Struct, frozen=True):
    commands: list[Listed]
    events: list[Listed]


async def test_every_schema_that_is_listed_is_served_and_valid(daemon: Served) -> None:
    listing = msgspec.json.decode((await daemon.get("/v1/schemas")).body, type=Listing)

    assert len(listing.commands) == len(COMMANDS)
    assert {each.type for each in listing.events} == {wire for wire, _ in EVENTS} | {"command.rejected"}
    for each in (*listing.commands, *listing.events):
        reply = await daemon.get(each.path)
        assert reply.status == 200
        schema = reply.json()
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(schema)  # pyright: ignore[reportUnknownMemberType, reportArgumentType]


@pytest.mark.parametrize(
    "path",
    [
        "commands/no.such/1",
        "commands/workspace.create/2",
        "commands/workspace.create/x",
        "commands/workspace.create/²",
        "commands/workspace.create/-1",
        "commands/workspace.create/1000",
        "events/workspace.create/1",
        "errors/workspace.create/1",
    ],
)
async def test_a_schema_that_is_none_is_not_found(daemon: Served, path: str) -> None:
    reply = await daemon.get(f"/v1/schemas/{path.replace('²', '%C2%B2')}")

    assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1/daemon/ping", "/v1/daemon/ready", "/v1/workspaces", "/v1/schemas"])
async def test_an_answer_fits_its_published_schema(daemon: Served, path: str) -> None:
    await daemon.make_workspace()

    answer = (await daemon.get(path)).json()

    content = f"#/paths/{path}/get/responses/200/content"
    operations = msgspec.convert(DOCUMENT["paths"], dict[str, dict[str, dict[str, object]]])
    responses = msgspec.convert(operations[path]["get"]["responses"], dict[str, dict[str, object]])
    schema = msgspec.convert(responses["200"]["content"], dict[str, dict[str, object]])["application/json"][
        "schema"
    ]
    fits({"allOf": [schema], "components": DOCUMENT["components"]}, answer, content)


async def test_both_answers_to_a_command_fit_their_schemas(daemon: Served) -> None:
    command = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="x")
    accepted = await daemon.submit(command)
    refused = await daemon.ask("POST", "/v1/commands/submit", body=encode(envelope(command, type="no.such")))

    for name, reply in (("Accepted", accepted), ("RefusedAnswer", refused)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
        fits(schema, reply.json(), name)


def fits(schema: dict[str, object], answer: object, where: str) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    errors = [str(each) for each in validator.iter_errors(answer)]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportUnknownArgumentType, reportArgumentType]
    assert errors == [], where
