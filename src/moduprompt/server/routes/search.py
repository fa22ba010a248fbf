"""`GET /v1/search`: what in a workspace holds the words, the best match first.

The present is asked of the index of the store, strength by strength and the newest first, until a page is full;
so a search costs as much as its page, and what lies before it. The past has no index: its documents are compared
one by one, in slices that hold up nobody. Both say the same. What the actor may not see is passed over. Only the
hits of one page are kept meanwhile.
"""

import asyncio
import heapq
from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from moduprompt.kernel.ledger import Ledger
from moduprompt.protocol import (
    Page,
    Refused,
    Rejection,
    Subject,
    WorkspaceId,
    encode,
    from_cursor,
    misfit,
    to_cursor,
)
from moduprompt.server.desk import Desk, actor_of, desk_of
from moduprompt.server.replies import to_json
from moduprompt.server.routes.moments import Sight, moment_of, sight_of
from moduprompt.server.routes.parameters import check_names, choice, entered, number
from moduprompt.server.routes.reads import PAGE_DEFAULT, PAGE_MAX, await_view
from moduprompt.storage.port import ViewRows
from moduprompt.views.search import KINDS, VIEW, SearchDocument, place_of, to_hit
from moduprompt.views.search_words import (
    EXACT,
    EXACT_TITLE,
    IS_ID,
    PREFIX,
    PREFIX_TITLE,
    QUERY_MAX,
    Query,
    to_place,
    to_query,
)

COLLECTION: Final = "search_documents"
SLICE_DOCUMENTS: Final = (
    200  # a page with what is passed over; a millisecond of comparing, then others have a turn
)
STRENGTHS: Final = (IS_ID, EXACT_TITLE, EXACT, PREFIX_TITLE, PREFIX)  # the order of the answer
LAST: Final = "~"  # behind every place: they begin with a digit

Found: TypeAlias = tuple[str, SearchDocument]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for, and behind which place."""

    query: Query
    kind: str | None
    before: str
    limit: int


async def search(request: Request) -> Response:
    """`GET /v1/search`."""
    actor = await actor_of(request)
    check_names(request, "workspace_id", "q", "kind", "cursor", "limit", "stale", "as_of")
    limit = number(request, "limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    kind, query = choice(request, "kind", *KINDS), _query(request)
    ledger, desk = await entered(request, actor), desk_of(request)
    seq = await moment_of(request, ledger)
    # A cursor of one question is none of another.
    asked = encode([ledger.workspace_id, list(query.words), query.id_part, kind, seq])
    name = f"search {sha256(asked).hexdigest()[:16]}"
    wanted = Wanted(query=query, kind=kind, before=_before(request, name), limit=limit)
    head = await await_view(request, ledger.workspace_id, of=(COLLECTION,)) if seq is None else seq
    sight = await sight_of(desk, actor, ledger=ledger, seq=seq)
    if seq is None:
        hits = await _best_now(desk.kernel.view_store, sight, wanted=wanted, home=ledger.workspace_id)
    else:
        async with aclosing(_slices(desk, ledger, seq=seq)) as slices:
            hits = await _best(slices, sight, wanted=wanted)
    more = to_cursor(name, hits[limit - 1][0]) if len(hits) > limit else None
    items = tuple(msgspec.Raw(encode(to_hit(row, query))) for _, row in hits[:limit])
    return to_json(Page(items=items, next=more, seq_global=head))


async def _best_now(store: ViewRows, sight: Sight, *, wanted: Wanted, home: WorkspaceId) -> list[Found]:
    """The first hits behind the place, one more than are wanted."""
    best: list[Found] = []
    for strength in STRENGTHS:
        if str(strength) > wanted.before[:1] or len(best) > wanted.limit:
            continue  # all of these come before the place, or behind the page
        async with aclosing(_answering(store, wanted.query, strength=strength, home=home)) as slices:
            async for documents in slices:
                best = _better(best, documents, sight, wanted=wanted)
                oldest = to_place(strength, created_at=documents[-1].created_at, id_=LAST)
                if len(best) > wanted.limit and best[-1][0] > oldest:
                    break  # whatever follows is older, and stands behind the page
    return best


async def _answering(
    store: ViewRows, query: Query, *, strength: int, home: WorkspaceId
) -> AsyncGenerator[list[SearchDocument]]:
    decoder, behind = msgspec.json.Decoder(SearchDocument), ""
    while True:
        stored = await store.answering(
            VIEW, query, workspace_id=home, strength=strength, behind=behind, limit=SLICE_DOCUMENTS
        )
        if stored:
            yield [decoder.decode(data) for _, data in stored]
        if len(stored) < SLICE_DOCUMENTS:
            return
        behind = stored[-1][0]
        await asyncio.sleep(0)  # a store in memory does not wait, and everybody else wants a turn


async def _best(slices: AsyncGenerator[list[SearchDocument]], sight: Sight, *, wanted: Wanted) -> list[Found]:
    """The first hits behind the place, one more than are wanted."""
    best: list[Found] = []
    async for documents in slices:
        best = _better(best, documents, sight, wanted=wanted)
    return best


def _better(
    best: list[Found], documents: list[SearchDocument], sight: Sight, *, wanted: Wanted
) -> list[Found]:
    """The best of both, in order. A document that was met before is itself, and counts once."""
    hits = {place: row for row in documents if (place := _place(row, wanted)) is not None}
    seen = {each: row for each, row in hits.items() if sight.shows(Subject(kind=row.kind, id=row.id))}
    return heapq.nlargest(wanted.limit + 1, {**dict(best), **seen}.items(), key=lambda found: found[0])


def _place(row: SearchDocument, wanted: Wanted) -> str | None:
    if wanted.kind is not None and row.kind != wanted.kind:
        return None
    place = place_of(row, wanted.query)
    return place if place is not None and place < wanted.before else None


async def _slices(desk: Desk, ledger: Ledger, *, seq: int) -> AsyncGenerator[list[SearchDocument]]:
    """All documents of the workspace as they were, from a fold of the log."""
    rows = (await desk.kernel.past.scene(VIEW, ledger.workspace_id, seq=seq)).every(SearchDocument)
    for start in range(0, len(rows), SLICE_DOCUMENTS):
        yield rows[start : start + SLICE_DOCUMENTS]
        await asyncio.sleep(0)


def _query(request: Request) -> Query:
    text = request.query_params.get("q", "")
    if len(text) > QUERY_MAX:
        raise Refused(
            misfit(
                "/q", f"has more than {QUERY_MAX} characters", limit="query", hint="search for fewer words"
            )
        )
    query = to_query(text)
    if not query.words:
        raise Refused(
            misfit("/q", "holds no word", hint="words of letters and digits; their beginnings are enough")
        )
    return query


def _before(request: Request, name: str) -> str:
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return LAST
    before = from_cursor(name, cursor)
    if isinstance(before, Rejection):
        raise Refused(before)
    return before
