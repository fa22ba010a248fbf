"""A search finds the same in every store of read models, however the rows came there."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from moduprompt.domain.registry import known_event
from moduprompt.protocol import EventEnvelope
from moduprompt.storage.port import Step, ViewStore
from moduprompt.views.memory import MemoryRows
from moduprompt.views.search import VIEW, SearchDocument, fold, place_of
from moduprompt.views.search_words import to_query
from tests.support.demo_history import DemoHistory
from tests.support.histories import WORKSPACE
from tests.support.stores import OpenViews, memory_views, sqlite_views
from tests.unit.views.test_search import stamp_of

MAKERS = (memory_views, sqlite_views)
QUERIES = ("pla", "test", "impl review", "mp", "main", "no such word")


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def open_views(request: pytest.FixtureRequest, tmp_path: Path) -> OpenViews:
    make: Callable[[Path], OpenViews] = request.param
    return make(tmp_path)


def steps_of(envelopes: list[EventEnvelope]) -> list[Step]:
    return [Step(event=known_event(each), stamp=stamp_of(each)) for each in envelopes]


async def stored(store: ViewStore) -> list[SearchDocument]:
    rows = await store.rows("search_documents", workspace_id=WORKSPACE, after="", limit=1_000)
    return [msgspec.json.decode(data, type=SearchDocument) for _, data in rows]


def expected(steps: list[Step]) -> list[SearchDocument]:
    rows = MemoryRows()
    for step in steps:
        if step.event is not None:
            fold(rows, step.event, step.stamp)
    return sorted(rows.every(SearchDocument), key=lambda row: row.id)


def hits(rows: list[SearchDocument], query: str) -> list[str]:
    found = (place_of(row, to_query(query)) for row in rows)
    return sorted((place for place in found if place is not None), reverse=True)


async def test_documents_folded_one_by_one_at_once_and_again_find_the_same(open_views: OpenViews) -> None:
    demo = DemoHistory()
    demo.write()
    steps = steps_of(demo.log.envelopes)
    wanted = expected(steps)
    store = await open_views((VIEW,))
    try:
        for step in steps[:20]:
            await store.apply((VIEW,), [step])
        await store.apply((VIEW,), steps[20:])
        live = await stored(store)
        shadow = await store.shadow(VIEW)
        await shadow.apply(steps)
        await shadow.take_over()
        rebuilt = await stored(store)
    finally:
        await store.close()

    assert live == wanted
    assert rebuilt == wanted
    assert any(hits(wanted, query) for query in QUERIES)
    assert all(hits(live, query) == hits(wanted, query) for query in QUERIES)
