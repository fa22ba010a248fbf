"""The search view: the last texts of a subject, folded the same wherever its rows lie."""

import msgspec
import pytest

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Stamp
from moduprompt.domain.project.events import (
    ProjectCreated,
    ProjectRenamed,
    RepositoryAttached,
    RepositoryDetached,
)
from moduprompt.domain.registry import known_event
from moduprompt.protocol import EventEnvelope, ProjectId, RepositoryId
from moduprompt.views.memory import MemoryRows
from moduprompt.views.search import KINDS, VIEW, SearchDocument, fold, place_of, to_hit
from moduprompt.views.search_words import to_query
from tests.support.demo_history import DemoHistory
from tests.support.histories import SYSTEM, WORKSPACE
from tests.support.samples import SAMPLE_TIME, sample_events

PROJECT = ProjectId("01a20428-0000-7000-8000-00000000cccc")
REPOSITORY = RepositoryId("01a20428-0000-7000-8000-00000000dddd")


class StoredRows(MemoryRows):
    """Rows that are bytes between two events, as in the daemon's store."""

    def put(self, row: Item) -> None:
        super().put(msgspec.json.decode(msgspec.json.encode(row), type=type(row)))


def folded(envelopes: list[EventEnvelope], rows: MemoryRows) -> dict[str, SearchDocument]:
    for envelope in envelopes:
        event = known_event(envelope)
        if event is not None:
            fold(rows, event, stamp_of(envelope))
    return {row.id: row for row in rows.every(SearchDocument)}


def stamp_of(envelope: EventEnvelope) -> Stamp:
    return Stamp(
        workspace_id=envelope.workspace_id,
        seq=envelope.seq_global,
        version=envelope.seq_stream,
        timestamp=envelope.timestamp,
        actor=envelope.actor,
    )


def after(*events: Event) -> SearchDocument:
    rows = MemoryRows()
    for seq, event in enumerate(events, 1):
        fold(
            rows,
            event,
            Stamp(workspace_id=WORKSPACE, seq=seq, version=seq, timestamp=SAMPLE_TIME, actor=SYSTEM),
        )
    (row,) = rows.every(SearchDocument)
    return row


@pytest.fixture
def demo() -> DemoHistory:
    written = DemoHistory()
    written.write()
    return written


def test_stored_and_remembered_rows_are_the_same(demo: DemoHistory) -> None:
    assert folded(demo.log.envelopes, MemoryRows()) == folded(demo.log.envelopes, StoredRows())


def test_a_documents_version_is_that_of_its_subject(demo: DemoHistory) -> None:
    last = {envelope.subject.id: envelope.seq_stream for envelope in demo.log.envelopes}
    documents = folded(demo.log.envelopes, MemoryRows())

    assert {row.kind for row in documents.values()} <= set(KINDS)
    assert {id_: row.version for id_, row in documents.items()} == {id_: last[id_] for id_ in documents}


def test_a_new_name_takes_the_place_of_the_old_one() -> None:
    made = ProjectCreated(project_id=PROJECT, name="Parser")
    row = after(made, ProjectRenamed(project_id=PROJECT, name="Lexer"))

    assert place_of(row, to_query("parser")) is None
    assert place_of(row, to_query("lexer")) is not None
    assert to_hit(row, to_query("lex")).title == "Lexer"


def test_a_repository_is_found_until_it_is_detached() -> None:
    made = ProjectCreated(project_id=PROJECT, name="Parser")
    attached = RepositoryAttached(
        project_id=PROJECT, repository_id=REPOSITORY, path="/srv/moon", branch="main", head="0" * 40
    )
    gone = RepositoryDetached(project_id=PROJECT, repository_id=REPOSITORY)

    assert place_of(after(made, attached), to_query("moon main")) is not None
    assert after(made, attached, gone).texts == {"name": "Parser"}


@pytest.mark.parametrize("event", sample_events(), ids=lambda event: event.wire)
def test_an_event_about_something_unseen_breaks_nothing(event: Event) -> None:
    rows = MemoryRows()

    fold(rows, event, Stamp(workspace_id=WORKSPACE, seq=9, version=4, timestamp=SAMPLE_TIME, actor=SYSTEM))

    taken = isinstance(event, VIEW.takes)
    assert len(list(rows.every(SearchDocument))) == (1 if taken else 0)
