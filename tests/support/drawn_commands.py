"""Commands drawn from their own types: every field within its bounds, ids mostly of what exists."""

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from moduprompt.domain.decider import Command
from moduprompt.domain.failures import FailureClass
from moduprompt.policy.rights import Right
from tests.support.samples import SAMPLE_TIME, sample

WORDS = ("a", "plan", "größe", "/srv/repo", SAMPLE_TIME, "2026-01-01T00:00:05.000000Z", "main", "x" * 200)
INTEGERS = (0, 1, 2, 3, 40, 1_000)


def drawn(kind: type[msgspec.Struct], ids: Sequence[str]) -> SearchStrategy[Any]:
    """A struct of this kind. What its own bounds refuse falls back on a value that they take."""
    hints, good = get_type_hints(kind, include_extras=True), sample(kind)
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        plain = msgspec.to_builtins(good)
        for field in kind.__struct_fields__:
            if field not in required and draw(st.booleans()):
                del plain[field]
                continue
            value = draw(_value(hints[field], ids))
            changed = {**plain, field: msgspec.to_builtins(value)}
            if _fits(changed, kind):
                plain = changed
        return msgspec.convert(plain, kind)

    return build()


def wrong(command: Command) -> SearchStrategy[dict[str, object]]:
    """Its payload, spoilt: a field too many, one too few, one of another type."""
    plain: dict[str, object] = msgspec.to_builtins(command)
    required = [field.name for field in msgspec.structs.fields(type(command)) if field.required]

    def without(name: str) -> dict[str, object]:
        return {key: plain[key] for key in plain if key != name}

    def of_another_type(name: str) -> dict[str, object]:
        return {**plain, name: {"no": [1]}}

    too_many: dict[str, object] = {**plain, "unheard_of": 1}
    names = st.sampled_from(required)
    return st.one_of(st.just(too_many), names.map(without), names.map(of_another_type))


def _fits(plain: object, kind: type[msgspec.Struct]) -> bool:
    try:
        msgspec.convert(plain, kind)
    except msgspec.ValidationError:
        return False
    return True


def _value(hint: Any, ids: Sequence[str]) -> SearchStrategy[Any]:
    origin, inner = get_origin(hint), get_args(hint)
    if isinstance(hint, NewType):
        return st.sampled_from(list(ids))
    if origin is Annotated:
        return _value(inner[0], ids)
    if origin in (Union, UnionType):
        return st.one_of(*(_value(each, ids) for each in inner))
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        return st.lists(_value(inner[0], ids), max_size=2).map(tuple)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return drawn(hint, ids)
    plain: dict[Any, SearchStrategy[Any]] = {
        NoneType: st.none(),
        bool: st.booleans(),
        int: st.sampled_from(INTEGERS),
        FailureClass: st.sampled_from(list(FailureClass)),
        Right: st.sampled_from(list(Right)),
    }
    return plain.get(hint, st.sampled_from(WORDS))
