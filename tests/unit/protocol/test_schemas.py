"""The schemas we publish: kept as golden files, and true to an outside validator."""

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import jsonschema
import msgspec
import pytest

from moduprompt.domain.registry import COMMANDS, EVENTS
from moduprompt.protocol import DIALECT, SEQ_MAX, to_schema
from tests.support.golden import GOLDEN, schemas

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

ID = "00000000-0000-7000-8000-000000000001"
COMMAND: dict[str, object] = {"type": "project.rename", "schema_version": 1, "payload": {}, "trace_id": "t"}
RENAME = {"workspace_id": ID, "project_id": ID, "name": "core"}


def read(path: str) -> dict[str, Json]:
    return msgspec.json.decode((GOLDEN / "schemas" / path).read_bytes(), type=dict[str, object])  # type: ignore[return-value]


def errors(path: str, document: Mapping[str, object]) -> list[str]:
    validator = jsonschema.Draft202012Validator(read(path))
    return [error.message for error in validator.iter_errors(dict(document))]  # type: ignore[arg-type]  # plain JSON


def parts(schema: Json) -> Iterator[dict[str, Json]]:
    """Every object within a schema."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from parts(part)
    if isinstance(schema, list):
        for part in schema:
            yield from parts(part)


@pytest.mark.parametrize("path", sorted(schemas()))
def test_every_published_schema_is_a_valid_one(path: str) -> None:
    schema = read(path)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT


@pytest.mark.parametrize(
    "path", sorted(path for path in schemas() if path.startswith(("commands", "events")))
)
def test_no_payload_holds_a_number_that_a_reader_could_lose(path: str) -> None:
    for part in parts(read(path)):
        assert part.get("type") != "number", part
        if part.get("type") == "integer":
            least, most = part.get("minimum"), part.get("maximum")
            assert isinstance(least, int), part
            assert isinstance(most, int), part
            assert -SEQ_MAX <= least <= most <= SEQ_MAX


FIXED_LENGTHS = (27, 36, 71)  # of times, ids and references: one character more does not fit


@pytest.mark.parametrize("path", sorted(schemas()))
def test_no_pattern_takes_a_line_break_behind_what_it_describes(path: str) -> None:
    """`$` also matches before a last line break."""
    for part in parts(read(path)):
        pattern = part.get("pattern")
        if not isinstance(pattern, str) or re.search(pattern, "/two\nlines"):
            continue
        assert pattern.endswith(r"$(?!\n)") or part.get("maxLength") in FIXED_LENGTHS, pattern
        assert r"\d" not in pattern, "in Python that is every script's digits"


@pytest.mark.parametrize(("wire", "version"), sorted(COMMANDS))
def test_every_command_forbids_what_it_does_not_know(wire: str, version: int) -> None:
    found = errors(f"commands/{wire}.v{version}.json", {"workspace_id": ID, "sneaked_in": 1})

    assert any("sneaked_in" in error for error in found)


@pytest.mark.parametrize(("wire", "version"), sorted(EVENTS))
def test_every_event_allows_what_it_does_not_know(wire: str, version: int) -> None:
    """Old clients read new logs."""
    found = errors(f"events/{wire}.v{version}.json", {"added_later": 1})

    assert not any("added_later" in error for error in found)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("envelopes/command.json", COMMAND),
        ("envelopes/command.json", {**COMMAND, "idempotency_key": "k", "expected_version": 0}),
        ("envelopes/error.json", {"code": "not_found", "message": "no"}),
        ("envelopes/error.json", {"code": "not_found", "message": "no", "details": {"id": ID, "n": 1}}),
        ("envelopes/ping.json", {"status": "ok", "version": "1", "timestamp": "x"}),
        ("commands/project.rename.v1.json", RENAME),
    ],
)
def test_a_valid_document_is_accepted(path: str, document: Mapping[str, object]) -> None:
    assert errors(path, document) == []


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("envelopes/command.json", {**COMMAND, "extra": 1}),
        ("envelopes/command.json", {**COMMAND, "schema_version": 0}),
        ("envelopes/command.json", {**COMMAND, "expected_version": SEQ_MAX + 1}),
        ("envelopes/command.json", {"type": "x"}),
        ("envelopes/error.json", {"code": "made_up", "message": "no"}),
        ("envelopes/ping.json", {"status": "bad", "version": "1", "timestamp": "x"}),
        ("commands/project.rename.v1.json", {**RENAME, "name": ""}),
        ("commands/project.rename.v1.json", {**RENAME, "name": "a\n"}),
        ("commands/project.rename.v1.json", {**RENAME, "name": "x" * 201}),
        ("commands/project.rename.v1.json", {**RENAME, "project_id": "x"}),
        ("commands/project.rename.v1.json", {**RENAME, "project_id": ID + "\n"}),
        ("commands/project.rename.v1.json", {**RENAME, "extra": 1}),
        ("commands/project.rename.v1.json", {"workspace_id": ID}),
    ],
)
def test_an_invalid_document_is_refused(path: str, document: Mapping[str, object]) -> None:
    assert errors(path, document) != []


def test_the_golden_files_are_what_the_types_say() -> None:
    kept = {
        str(path.relative_to(GOLDEN / "schemas")): path.read_bytes()
        for path in (GOLDEN / "schemas").rglob("*.json")
    }

    assert kept == schemas()


def test_a_schema_is_made_of_the_type_alone() -> None:
    kind = COMMANDS["project.rename", 1]

    assert to_schema(kind, title="x") == to_schema(kind, title="x")
