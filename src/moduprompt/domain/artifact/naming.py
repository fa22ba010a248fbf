"""Which artifacts an event names, read off the types of its fields.

A name in a free text (a title, a reason) is no artifact, however much it looks like one.
"""

from functools import cache
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

import msgspec

from moduprompt.domain.artifact.events import ArtifactErased
from moduprompt.domain.decider import Event
from moduprompt.protocol import ArtifactRef, TextRef


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that an event names; `chars` where it is a text."""

    ref: ArtifactRef
    chars: int | None = None


def named_by(event: Event) -> tuple[Named, ...]:
    """The artifacts that the event brings, in the order of its fields."""
    return tuple(
        Named(ref=value.ref, chars=value.chars)
        if isinstance(value, TextRef)
        else Named(ref=ArtifactRef(value))
        for value in (getattr(event, field) for field in _fields(type(event)))
        if isinstance(value, TextRef | str)
    )


@cache
def _fields(kind: type[Event]) -> tuple[str, ...]:
    if issubclass(kind, ArtifactErased):
        return ()  # what is taken away is not brought
    return tuple(field.name for field in msgspec.structs.fields(kind) if _is_artifact(field.type))


def _is_artifact(said: object) -> bool:
    if said is TextRef or said is ArtifactRef:
        return True
    origin, inner = get_origin(said), get_args(said)
    if origin is Annotated:
        return _is_artifact(inner[0])
    return origin in (Union, UnionType) and any(map(_is_artifact, inner))
