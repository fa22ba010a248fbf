"""One of each event, made from the types themselves: for what must hold for all of them."""

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

import msgspec

from moduprompt.domain.decider import Event
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.registry import EVENTS
from moduprompt.policy.rights import Right

SAMPLE_ID = "01935450-0000-7000-8000-00005a3b1e00"
SAMPLE_TIME = "2026-11-22T15:40:00.000000Z"
_FORMS = ("sample", "/some/path", SAMPLE_TIME, "5a" * 32)  # of words that must look like something


def sample_events() -> list[Event]:
    """Each type of event that the domain knows, every optional field filled."""
    return [sample(kind) for kind in EVENTS.values()]


def sample(kind: type[msgspec.Struct]) -> Any:
    """A struct with a value in each of its fields."""
    hints = get_type_hints(kind, include_extras=True)
    return kind(**{field: _value(field, hints[field]) for field in kind.__struct_fields__})


def least(kind: type[msgspec.Struct]) -> Any:
    """A struct with a value in each field that needs one."""
    hints = get_type_hints(kind, include_extras=True)
    fields = msgspec.structs.fields(kind)
    return kind(**{each.name: _value(each.name, hints[each.name]) for each in fields if each.required})


def _value(field: str, hint: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if isinstance(hint, NewType):
        return SAMPLE_ID if hint.__name__.endswith("Id") else "blake3:" + "5a" * 32
    if origin is Annotated:
        return _fitting(_value(field, inner[0]), inner[1])
    if origin in (Union, UnionType):
        return _value(field, next(each for each in inner if each is not NoneType))
    if origin is Literal:
        return inner[0]
    if origin is tuple:
        return (_value(field, inner[0]),)
    return _plain_value(field, hint)


def _fitting(value: Any, bounds: Any) -> Any:
    if isinstance(value, int):
        return max(value, bounds.ge or value)
    pattern = bounds.pattern if isinstance(value, str) else None
    if pattern is None or re.search(pattern, value):
        return value
    return next(each for each in _FORMS if re.search(pattern, each))


def _plain_value(field: str, hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return sample(hint)
    if hint is bool:
        return True
    if hint is int:
        return 3
    if hint is FailureClass:
        return FailureClass.NETWORK
    if hint is Right:
        return Right.SPAWN
    assert hint is str, f"no sample for {field}: {hint}"
    return SAMPLE_TIME if field.endswith("_at") else f"some {field}"
