"""Our own log is folded the quick way: it arrives where the strict way does, and takes nothing else."""

from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moduprompt.domain.registry import EVENTS, UnreadableEvent, Upcasters, read_event
from moduprompt.kernel.ledger import ChainBroken, Ledger
from moduprompt.kernel.replay import read_step, readers
from moduprompt.kernel.transfer import empty_ledger
from moduprompt.protocol import WorkspaceId, decode_event, encode
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.port import StoredEvent
from tests.support.histories import WORKSPACE, History
from tests.unit.domain.test_invariants import LIVELY, machine_of, told

DEMO: Final = Path(__file__).parents[2] / "golden" / "histories" / "demo.ndjson"
choices = st.lists(st.integers(0, 10_000), max_size=40)


def stored(lines: list[bytes]) -> list[StoredEvent]:
    return [StoredEvent(seq=number, subject_id="", data=data) for number, data in enumerate(lines, 1)]


def both(events: list[StoredEvent], workspace_id: WorkspaceId = WORKSPACE) -> tuple[Ledger, Ledger]:
    quick, strict = empty_ledger(workspace_id), empty_ledger(workspace_id)
    quick.fold(events)
    for event in events:
        strict.replay(event)
    return quick, strict


def assert_same(quick: Ledger, strict: Ledger) -> None:
    assert (quick.seq, quick.head_hash, quick.last_time) == (strict.seq, strict.head_hash, strict.last_time)
    assert quick.state_hash() == strict.state_hash()
    assert list(quick.aggregates()) == list(strict.aggregates())
    for id_, state in strict.aggregates():
        assert quick.version(id_) == strict.version(id_)
        assert quick.related_ids(type(state), id_) == strict.related_ids(type(state), id_)


@given(noun=st.sampled_from(LIVELY), numbers=choices)
@settings(max_examples=60, deadline=None)
def test_a_long_story_folds_to_the_same_either_way(noun: str, numbers: list[int]) -> None:
    scene = told(machine_of(noun), numbers)
    history = History().add(*scene.history)

    assert_same(*both(stored([encode(envelope) for envelope in history.envelopes])))


def test_the_demo_folds_to_the_same_either_way_whatever_pages_it_comes_in() -> None:
    events = stored(DEMO.read_bytes().splitlines())
    quick, strict = both(events)
    assert_same(quick, strict)

    paged = empty_ledger(WORKSPACE)
    for start in range(0, len(events), 7):
        paged.fold(events[start : start + 7])
    assert_same(paged, strict)


def test_every_type_of_event_has_a_reader_and_an_upcaster_takes_it_away() -> None:
    older: Upcasters = {("task.started", 1): lambda payload: payload}
    assert {each.wire for each in readers({}).values()} == {wire for wire, _ in EVENTS}
    assert "task.started" not in {each.wire for each in readers(older).values()}


def test_views_take_every_event_of_the_log_the_quick_way_as_the_strict_way() -> None:
    for line in DEMO.read_bytes().splitlines():
        step, envelope = read_step(line, {}), decode_event(line)
        event = read_event(envelope)
        if event is None:
            assert step is None, "a rejection is no event of an aggregate"
            continue
        assert step is not None
        assert step.event is not None
        assert isinstance(step.event, type(event))
        assert encode(step.event) == encode(event)
        assert step.event.subject() == event.subject()
        assert step.event_id == envelope.event_id
        stamp = step.stamp
        assert (stamp.workspace_id, stamp.seq) == (envelope.workspace_id, envelope.seq_global)
        assert (stamp.version, stamp.timestamp) == (envelope.seq_stream, envelope.timestamp)
        assert stamp.actor == envelope.actor


def test_views_take_the_strict_way_what_an_upcaster_takes_and_what_has_another_version() -> None:
    lines = DEMO.read_bytes().splitlines()
    first = decode_event(lines[0])
    older: Upcasters = {(first.event_type, first.schema_version): lambda payload: payload}

    assert read_step(lines[0], older) is None
    assert read_step(encode(msgspec.structs.replace(first, schema_version=2)), {}) is None
    assert read_step(b"{}", {}) is None


def test_an_event_of_another_form_is_taken_the_strict_way() -> None:
    """Bytes are hashed as they are; nobody says in which order another program writes its fields."""
    lines = DEMO.read_bytes().splitlines()[:3]
    turned = msgspec.json.decode(lines[2], type=dict[str, object])
    lines[2] = encode(dict(reversed(turned.items())))

    assert_same(*both(stored(lines)))


@pytest.mark.parametrize(
    "changes",
    [
        {"trace_id": "forged"},
        {"prev_hash": "blake3:" + "0" * 64},
        {"seq_global": 7},
        {"seq_stream": 9},
        {"timestamp": "yesterday"},
        {"timestamp": "2026-11-22T15:40:00,000000Z"},
    ],
)
def test_a_log_that_was_changed_is_not_folded(changes: dict[str, object]) -> None:
    events = stored(DEMO.read_bytes().splitlines()[:9])
    head_hash = content_hash(events[-1].data)
    for place in range(9):
        forged = encode(msgspec.structs.replace(decode_event(events[place].data), **changes))
        if forged == events[place].data:
            continue
        ledger = empty_ledger(WORKSPACE)
        try:
            ledger.fold(
                [
                    *events[:place],
                    StoredEvent(seq=place + 1, subject_id="", data=forged),
                    *events[place + 1 :],
                ]
            )
        except ChainBroken:
            continue
        assert ledger.head_hash != head_hash, "only the last event can be read; its hash tells"


def test_an_event_of_the_future_is_refused_and_named() -> None:
    events = stored(DEMO.read_bytes().splitlines()[:2])
    future = encode(msgspec.structs.replace(decode_event(events[1].data), schema_version=2))

    with pytest.raises(UnreadableEvent, match="which this version does not know"):
        empty_ledger(WORKSPACE).fold([events[0], StoredEvent(seq=2, subject_id="", data=future)])
