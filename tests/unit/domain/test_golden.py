"""Promises kept as files: every event ever stored can be read, and the list of orders is meant."""

from __future__ import annotations

import msgspec
import pytest

from moduprompt.domain.registry import COMMANDS, EVENTS, UnreadableEvent, known_event, read_event
from moduprompt.protocol import (
    COMMAND_REJECTED,
    CommandRejected,
    EventEnvelope,
    EventId,
    Rejection,
    Subject,
    WorkspaceId,
    decode,
    encode,
)
from tests.support.domain import OWNER, WORKSPACE, an_id
from tests.support.golden import GOLDEN
from tests.support.golden_domain import DIGESTED, STORED, domain
from tests.support.samples import least, sample

NAMES = sorted(path.name for path in STORED.iterdir())
OF_AGGREGATES = [name for name in NAMES if not name.startswith(COMMAND_REJECTED)]


def stored(name: str) -> bytes:
    return (STORED / name).read_bytes().rstrip(b"\n")


def envelope(name: str, payload: bytes, *, kind: str = "task") -> EventEnvelope:
    wire, _, version = name.removesuffix(".json").rpartition(".v")
    return EventEnvelope(
        event_id=EventId(an_id(1)),
        event_type=wire,
        timestamp="2026-01-01T00:00:00.000000Z",
        actor=OWNER,
        workspace_id=WorkspaceId(WORKSPACE),
        subject=Subject(kind=kind, id=an_id(2)),
        payload=msgspec.Raw(payload),
        schema_version=int(version),
        seq_global=1,
        seq_stream=1,
        prev_hash="",
    )


def test_there_is_a_stored_payload_for_every_event_and_none_was_taken_away() -> None:
    known = {f"{wire}.v{version}.json" for wire, version in EVENTS} | {f"{COMMAND_REJECTED}.v1.json"}
    assert set(NAMES) == known


@pytest.mark.parametrize("name", OF_AGGREGATES)
def test_what_was_stored_is_read_and_loses_nothing(name: str) -> None:
    event = read_event(envelope(name, stored(name)))
    assert event is not None
    written = msgspec.json.decode(stored(name), type=dict[str, object])
    again = msgspec.json.decode(msgspec.json.encode(event), type=dict[str, object])
    assert written.items() <= again.items(), "a field that was stored is read by nobody"


def test_an_order_in_its_least_form_is_the_same_to_its_key_as_ever() -> None:
    """A field that came later is listed in `later`, or a repeat over an upgrade would be another order."""
    now = {
        f"{wire}.v{version}.json": encode(least(kind).identity()) + b"\n"
        for (wire, version), kind in COMMANDS.items()
    }
    then = {path.name: path.read_bytes() for path in DIGESTED.glob("*.json")}
    assert now == {name: then[name] for name in now if name in then}


def test_a_field_that_came_later_counts_when_it_is_used() -> None:
    for kind in COMMANDS.values():
        for name in kind.later:
            field = next(each for each in msgspec.structs.fields(kind) if each.name == name)
            assert field.default is not msgspec.NODEFAULT, f"{kind.wire} needs a default for {name}"
            used = sample(kind)
            unused = msgspec.structs.replace(used, **{name: field.default})
            assert encode(used.identity()) != encode(unused.identity())


def test_a_stored_refusal_is_read() -> None:
    decoded = decode(stored(f"{COMMAND_REJECTED}.v1.json"), CommandRejected)
    assert not isinstance(decoded, Rejection)


def test_a_refusal_belongs_to_no_aggregate() -> None:
    name = f"{COMMAND_REJECTED}.v1.json"
    assert read_event(envelope(name, stored(name), kind="command")) is None


def test_an_event_that_the_daemon_can_not_read_stops_it_and_a_client_passes_over_it() -> None:
    for name, payload in (("task.danced.v1", b"{}"), ("task.created.v99", b"{}"), ("task.created.v1", b"{}")):
        with pytest.raises(UnreadableEvent, match="event"):
            read_event(envelope(name, payload))
        assert known_event(envelope(name, payload)) is None


def test_the_list_of_orders_is_as_it_was_meant() -> None:
    kept = (GOLDEN / "domain" / "commands.txt").read_bytes()
    assert domain()["commands.txt"] == kept
    assert len(kept.splitlines()) == len(COMMANDS)
