"""Old events are read for ever: brought up to date step by step, and never in what is stored."""

from __future__ import annotations

import msgspec
import pytest

from moduprompt.domain.registry import UnreadableEvent, Upcasters, read_event, upcast, upcast_bytes
from moduprompt.domain.workspace.events import WorkspaceRenamed
from moduprompt.protocol import Actor, EventEnvelope, EventId, Subject, decode_event, encode
from tests.support.domain import WORKSPACE, an_id
from tests.support.old_events import OLDEST, RENAMED_UPCASTERS


def event(version: int, payload: dict[str, object]) -> EventEnvelope:
    return EventEnvelope(
        event_id=EventId(an_id(1)),
        event_type="workspace.renamed",
        timestamp="2026-01-01T00:00:00.000000Z",
        actor=Actor(kind="user", id="u"),
        workspace_id=WORKSPACE,
        subject=Subject(kind="workspace", id=WORKSPACE),
        payload=msgspec.Raw(encode(payload)),
        schema_version=version,
        seq_global=2,
        seq_stream=2,
        prev_hash="blake3:00",
    )


OLD = event(OLDEST, {"workspace_id": WORKSPACE, "title": "house"})
NEW = event(1, {"workspace_id": WORKSPACE, "name": "house"})


def test_an_old_event_is_read_as_the_newest_version() -> None:
    assert read_event(OLD, RENAMED_UPCASTERS) == WorkspaceRenamed(workspace_id=WORKSPACE, name="house")


def test_an_old_event_is_served_as_the_newest_version_and_nothing_else_of_it_changes() -> None:
    assert decode_event(upcast_bytes(encode(OLD), RENAMED_UPCASTERS)) == NEW


def test_the_newest_version_is_served_as_the_very_bytes_that_are_stored() -> None:
    stored = encode(NEW).replace(b'{"event_id"', b'{"unknown":1,"event_id"')
    assert upcast_bytes(stored, RENAMED_UPCASTERS) is stored


def test_versions_are_brought_up_one_by_one() -> None:
    seen: list[int] = []

    def step(version: int) -> dict[str, object]:
        seen.append(version)
        return {"workspace_id": WORKSPACE, "name": f"after {version}"}

    steps: Upcasters = {("workspace.renamed", n): lambda _, n=n: step(n) for n in (1, 2, 3)}

    assert upcast(NEW, steps).schema_version == 4
    assert seen == [1, 2, 3]


def test_what_no_one_can_bring_up_to_date_is_unreadable_and_not_skipped() -> None:
    with pytest.raises(UnreadableEvent, match="version 0"):
        read_event(OLD)


@pytest.mark.parametrize("payload", [{}, {"title": 1}, {"title": "x", "workspace_id": 7}])
def test_an_old_event_that_does_not_fit_is_unreadable(payload: dict[str, object]) -> None:
    with pytest.raises(UnreadableEvent):
        read_event(event(OLDEST, payload), RENAMED_UPCASTERS)


def test_an_event_whose_payload_is_no_object_is_unreadable() -> None:
    broken = msgspec.structs.replace(OLD, payload=msgspec.Raw(b"[]"))
    with pytest.raises(UnreadableEvent):
        read_event(broken, RENAMED_UPCASTERS)
