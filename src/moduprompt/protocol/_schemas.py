"""JSON Schema 2020-12 documents of typed definitions, so that nothing is written twice."""

from typing import Final, TypeAlias

import msgspec

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema: TypeAlias = dict[str, object]


def to_schema(kind: type[msgspec.Struct], *, title: str) -> Schema:
    """One self-contained document for one type."""
    (body,), definitions = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    return {"$schema": DIALECT, "title": title, **body, **({"$defs": definitions} if definitions else {})}


def to_components(kinds: tuple[type[msgspec.Struct], ...]) -> tuple[tuple[Schema, ...], Schema]:
    """References and shared components for an OpenAPI document."""
    bodies, definitions = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return tuple(bodies), dict(definitions)


def to_stable_json(document: object) -> bytes:
    """Indented, sorted bytes for golden files."""
    plain = msgspec.json.encode(msgspec.to_builtins(document), order="deterministic")
    return msgspec.json.format(plain, indent=2) + b"\n"
