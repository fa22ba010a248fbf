"""A search finds the same in every store of read models, however the rows came there."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from moduprompt.domain.project.events import ProjectCreated, ProjectRenamed
from moduprompt.domain.registry import known_event
from moduprompt.protocol import EventEnvelope, ProjectId, WorkspaceId
from moduprompt.server.routes.search import STRENGTHS
from moduprompt.storage.port import Step, ViewStore
from moduprompt.views.memory import MemoryRows
from moduprompt.views.search import VIEW, SearchDocument, fold, place_of
from moduprompt.views.search_words import EXACT_TITLE, to_query
from tests.support.demo_history import DemoHistory
from tests.support.histories import WORKSPACE, History, counted_id
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


HOSTILE = (
    '"',
    '""',
    "task OR 1",
    "titles : plan",
    "NEAR(plan test)",
    "plan*",
    "(plan",
    "plan NOT test",
    "{titles} : plan",
    "^plan",
    "pl|an",
    "7-1-plan",
    "'; DROP TABLE words; --",
    "plan\x00test",
    " ".join(f"w{number}" for number in range(60)),
)


async def answers(store: ViewStore, text: str) -> list[str]:
    """The places of what the store finds, each strength for itself, the newest first, two at a time."""
    query, places = to_query(text), list[str]()
    for strength in STRENGTHS if query.words else ():
        behind = ""
        while page := await store.answering(
            VIEW, query, workspace_id=WORKSPACE, strength=strength, behind=behind, limit=2
        ):
            rows = [msgspec.json.decode(data, type=SearchDocument) for _, data in page]
            found = [(row, place_of(row, query)) for row in rows]
            assert all(place is not None for _, place in found), f"{text!r}: what is found answers"
            places += [place for _, place in found if place is not None and place.startswith(f"{strength}~")]
            behind = page[-1][0]
    return sorted(places, reverse=True)


async def test_the_index_finds_what_a_look_at_every_document_finds(open_views: OpenViews) -> None:
    demo = DemoHistory()
    demo.write()
    steps = steps_of(demo.log.envelopes)
    wanted = expected(steps)
    words = sorted({word for row in wanted for word in f"{row.in_titles} {row.in_others}".split()})
    ids = [row.id for row in wanted]
    queries = [
        *QUERIES,
        *HOSTILE,
        *words,
        *(word[:2] for word in words),
        *(f"{one} {other[:3]}" for one, other in pairwise(words)),
        *(piece for id_ in ids for piece in (id_, id_[:8], id_[-6:], id_[-8:].upper())),
    ]
    store = await open_views((VIEW,))
    try:
        for start in range(0, len(steps), 7):
            await store.apply((VIEW,), steps[start : start + 7])
        for query in queries:
            assert await answers(store, query) == hits(wanted, query), query
        shadow = await store.shadow(VIEW)
        await shadow.apply(steps)
        assert await answers(store, "pla") == hits(wanted, "pla"), "a shadow is not found"
        await shadow.take_over()
        for query in queries[:: len(queries) // 40]:
            assert await answers(store, query) == hits(wanted, query), query
        await store.forget(WORKSPACE)
        assert await answers(store, "pla") == []
    finally:
        await store.close()


async def test_a_rename_is_found_by_its_new_words_only_and_a_workspace_finds_its_own(
    open_views: OpenViews,
) -> None:
    project = ProjectId(counted_id(9_999))
    log = History().add(
        ProjectCreated(project_id=project, name="Größe ΑΣ"),
        ProjectRenamed(project_id=project, name="naïve İstanbul"),
    )
    other = WorkspaceId(counted_id(8_888))
    steps = steps_of(log.envelopes)
    elsewhere = [
        msgspec.structs.replace(step, stamp=msgspec.structs.replace(step.stamp, workspace_id=other))
        for step in steps
    ]
    store = await open_views((VIEW,))
    try:
        for step in [*steps, *elsewhere]:
            await store.apply((VIEW,), [step])
        for query in ("grösse", "ας", "naive", "naïve", "i̇stanbul", "istanbul", "naïv İst"):
            assert await answers(store, query) == hits(expected(steps), query), query
        await store.forget(WORKSPACE)
        assert await answers(store, "naïve") == []
        query = to_query("naïve")
        rest = await store.answering(
            VIEW, query, workspace_id=other, strength=EXACT_TITLE, behind="", limit=9
        )
        assert len(rest) == 1, "another workspace keeps its own"
    finally:
        await store.close()
