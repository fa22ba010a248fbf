"""JSON Schema 2020-12 documents of typed definitions, so that nothing is written twice."""

from textwrap import dedent
from typing import Final, TypeAlias

import msgspec

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema: TypeAlias = dict[str, object]
Part: TypeAlias = "dict[str, Part] | list[Part] | str | int | float | bool | None"


def to_schema(kind: type[msgspec.Struct], *, title: str) -> Schema:
    """One self-contained document for one type."""
    (body,), definitions = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    document = {"$schema": DIALECT, "title": title, **body, **({"$defs": definitions} if definitions else {})}
    return _described(document)


def to_components(kinds: tuple[type[msgspec.Struct], ...]) -> tuple[tuple[Schema, ...], Schema]:
    """References and shared components for an OpenAPI document."""
    bodies, definitions = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return tuple(_described(body) for body in bodies), _described(definitions)


def _described(schema: dict[str, Part]) -> Schema:
    """With its descriptions freed of the source's indent, which Python keeps in docstrings before 3.13."""
    return {name: _tidied(name, part) for name, part in schema.items()}


def _tidied(name: str, part: Part) -> object:
    if isinstance(part, str) and name == "description":
        first, line_end, others = part.partition("\n")
        return f"{first}{line_end}{dedent(others)}".rstrip()
    if isinstance(part, dict):
        return _described(part)
    return [_tidied("", each) for each in part] if isinstance(part, list) else part


def to_stable_json(document: object) -> bytes:
    """Indented, sorted bytes for golden files."""
    plain = msgspec.json.encode(msgspec.to_builtins(document), order="deterministic")
    return msgspec.json.format(plain, indent=2) + b"\n"
