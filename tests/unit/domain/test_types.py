"""What every order and every fact has in common: frozen, strict or lenient, exact on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from moduprompt.domain.decider import Command, Event, State, no_reaction, wakes_none
from moduprompt.domain.deciders import DECIDERS, VIEWS
from moduprompt.domain.registry import COMMANDS, DECIDER_OF, EVENTS, command_type
from moduprompt.policy.rights import Right
from moduprompt.protocol import Code, Rejection, decode
from tests.support.samples import sample

ORDERS = tuple(COMMANDS.values())
FACTS = tuple(EVENTS.values())
STATES = tuple(decider.state for decider in DECIDERS)
ITEMS = tuple(item for view in VIEWS for _, item in view.collections)
every_order = pytest.mark.parametrize("kind", ORDERS, ids=lambda kind: kind.wire)
every_fact = pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.wire)


def parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """A type and everything it is made of."""
    yield kind
    inner: tuple[Any, ...] = ()
    match kind:
        case inspect.StructType():
            inner = tuple(field.type for field in kind.fields)
        case inspect.UnionType():
            inner = kind.types
        case inspect.VarTupleType() | inspect.ListType():
            inner = (kind.item_type,)
        case inspect.TupleType():
            inner = kind.item_types
        case inspect.DictType():
            inner = (kind.key_type, kind.value_type)
        case _:
            pass
    for each in inner:
        yield from parts(each)


def structs(*roots: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    """The structs themselves and those within them."""
    return {
        part.cls
        for root in roots
        for part in parts(inspect.type_info(root))
        if isinstance(part, inspect.StructType)
    }


def test_every_struct_is_frozen_and_keyword_only() -> None:
    found = structs(*ORDERS, *FACTS, *STATES, *ITEMS)
    assert found >= {*ORDERS, *FACTS, *STATES, *ITEMS}
    for kind in found:
        config = kind.__struct_config__
        assert config.frozen, kind
        # msgspec forgets it in a subclass that does not say it again.
        with pytest.raises(TypeError, match="Extra positional arguments"):
            kind(None)


@every_order
def test_an_order_and_all_within_it_refuses_what_it_does_not_know(kind: type[Command]) -> None:
    for part in structs(kind):
        assert part.__struct_config__.forbid_unknown_fields, part


@every_fact
def test_a_fact_and_all_within_it_ignores_what_it_does_not_know(kind: type[Event]) -> None:
    for part in structs(kind):
        assert not part.__struct_config__.forbid_unknown_fields, part
    stored = msgspec.json.decode(msgspec.json.encode(sample(kind)), type=dict[str, object])
    assert decode(msgspec.json.encode({**stored, "of_tomorrow": [1]}), kind) == sample(kind)


@pytest.mark.parametrize("kind", [*ORDERS, *FACTS, *STATES], ids=lambda kind: kind.__name__)
def test_no_number_is_a_float_and_nothing_is_untyped(kind: type[msgspec.Struct]) -> None:
    for part in parts(inspect.type_info(kind)):
        assert not isinstance(
            part, inspect.FloatType | inspect.DecimalType | inspect.AnyType | inspect.RawType
        )
        assert not isinstance(part, inspect.DictType | inspect.DateTimeType)


@pytest.mark.parametrize("kind", [*ORDERS, *FACTS], ids=lambda kind: kind.wire)
def test_every_number_is_one_that_any_json_reader_holds_exactly(kind: type[Command | Event]) -> None:
    for part in parts(inspect.type_info(kind)):
        if isinstance(part, inspect.IntType):
            assert part.ge is not None, kind
            assert part.le is not None, kind
            assert -(2**53) <= part.ge <= part.le <= 2**53


@every_order
def test_free_text_of_an_order_has_an_end(kind: type[Command]) -> None:
    if kind.internal:
        return  # its sender is the kernel itself
    for part in parts(inspect.type_info(kind)):
        if isinstance(part, inspect.StrType):
            assert part.max_length is not None or part.pattern is not None, kind


@every_fact
def test_a_fact_comes_back_from_the_log_as_it_went_there(kind: type[Event]) -> None:
    event = sample(kind)
    stored = msgspec.json.encode(event)
    assert msgspec.json.decode(stored, type=kind) == event
    assert msgspec.json.encode(msgspec.json.decode(stored, type=kind)) == stored
    assert event.subject().kind == kind.kind
    assert event.subject().id == getattr(event, kind.key)


@every_order
def test_an_order_comes_through_the_wire_as_it_was_meant(kind: type[Command]) -> None:
    order = sample(kind)
    assert decode(msgspec.json.encode(order), kind) == order


@every_order
def test_an_unknown_field_of_an_order_is_refused_by_name(kind: type[Command]) -> None:
    payload = msgspec.json.decode(msgspec.json.encode(sample(kind)), type=dict[str, object])
    refused = decode(msgspec.json.encode({**payload, "extra": 1}), kind)
    assert isinstance(refused, Rejection)
    assert refused.code is Code.INVALID_SCHEMA
    assert "extra" in refused.message


def test_a_wire_name_is_a_noun_and_a_word_and_stands_once() -> None:
    names = [kind.wire for kind in (*ORDERS, *FACTS)]
    assert len(set(names)) == len(names), "an order and a fact never have the same name"
    for kind in (*ORDERS, *FACTS):
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", kind.wire)
        assert kind.wire.partition(".")[0] == kind.kind


def test_every_order_and_fact_belongs_to_the_aggregate_of_its_kind() -> None:
    for decider in DECIDERS:
        assert {kind.kind for kind in (*decider.commands, *decider.events)} == {decider.noun}
    assert len(DECIDER_OF) == len(DECIDERS)


@every_order
def test_an_order_names_its_subject_or_makes_one(kind: type[Command]) -> None:
    makes = (
        kind.wire.endswith((".create", ".spawn", ".start", ".write", ".report_made"))
        and kind.wire != "task.start"
    )
    assert (kind.key is None) == makes
    assert kind.key is None or kind.key in kind.__struct_fields__
    assert kind.text_field is None or kind.text_field in kind.__struct_fields__


def test_every_right_that_opens_an_order_is_one_a_session_can_hold() -> None:
    opened = {kind.right for kind in ORDERS if kind.right is not None}
    assert opened <= set(Right)
    assert not any(kind.right for kind in ORDERS if kind.internal), "what is the kernel's own needs no right"
    assert not {kind.wire for kind in ORDERS if kind.right} & {
        "approval.grant", "approval.deny", "approval.revoke", "workspace.create", "workspace.archive",
    }  # fmt: skip


def test_what_a_session_is_looked_up_by_is_a_field() -> None:
    for state in STATES:
        assert issubclass(state, State)
        assert state.index_by is None or state.index_by in state.__struct_fields__


def test_an_order_that_does_not_exist_says_what_does() -> None:
    assert command_type("task.create", 1) is COMMANDS["task.create", 1]
    for wire, version, said in (("task.create", 9, "known versions: 1"), ("task.dance", 1, "/v1/schemas")):
        refused = command_type(wire, version)
        assert isinstance(refused, Rejection)
        assert refused.code is Code.UNKNOWN_COMMAND
        assert said in (refused.hint or "")


def test_whoever_reacts_says_to_what() -> None:
    for decider in DECIDERS:
        assert bool(decider.reacts_to) == (decider.react is not no_reaction)
        assert bool(decider.woken_on) == (decider.woken_by is not wakes_none)
