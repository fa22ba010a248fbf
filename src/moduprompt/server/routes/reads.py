"""Read models: one collection per noun, the same for every one of them.

A read waits until its view has reached the head that stood when it arrived, unless
`stale=ok`. With `as_of=` it answers as it would have when the log ended there: from a fold of
the log, not from the store. What the actor may not see is passed over.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import View
from moduprompt.domain.run.view import RunItem
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.visibility import may_enter
from moduprompt.protocol import (
    Actor,
    Page,
    Refused,
    Rejection,
    RunId,
    Subject,
    WorkspaceId,
    encode,
    from_cursor,
    is_id,
    misfit,
    missing,
    to_cursor,
    to_timestamp,
)
from moduprompt.server.desk import Desk, actor_of, desk_of, enterable
from moduprompt.server.replies import to_json
from moduprompt.server.routes.moments import AtSeq, AtTime, Sight, as_of, moment_of, seq_of, sight_of
from moduprompt.server.routes.parameters import check_names, choice, entered, number

PAGE_DEFAULT = 100
PAGE_MAX = 1_000  # some 100 kB of items; who wants more follows `next`
WORKSPACES = "workspaces"
RUNS = "runs"
REQUESTED: Final = (
    b'"requested"'  # in the bytes of every row that can wait: as a rule the others are not decoded
)
LISTED = ("workspace_id", "cursor", "limit", "stale", "as_of")
VIEW_OF: Final[dict[str, View]] = {name: view for view in VIEWS for name, _ in view.collections}

Fetch: TypeAlias = Callable[[str, int], Awaitable[list[tuple[str, bytes]]]]
"""Rows after an id, at most so many."""


def kind_of(collection: str) -> str:
    """The noun of a collection: `worktrees` holds worktrees."""
    return collection.removesuffix("s")


async def collection(request: Request) -> Response:
    """`GET /v1/<nouns>`."""
    actor, name = await actor_of(request), _collection(request)
    # A workspace is not in a workspace, and a parameter that nobody reads must not show everything.
    check_names(request, *(each for each in LISTED if (name, each) != (WORKSPACES, "workspace_id")))
    limit = number(request, "limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    if name == WORKSPACES:
        return to_json(await _workspaces(request, actor, limit=limit))
    ledger, desk = await entered(request, actor), desk_of(request)
    seq = await moment_of(request, ledger)
    place = name if seq is None else f"{name}@{seq}"  # a cursor of one moment is none of another
    after = _after(request, place)
    head = await await_view(request, ledger.workspace_id, of=(name,)) if seq is None else seq
    sight = await sight_of(desk, actor, ledger=ledger, seq=seq)
    fetch = await _source(desk, name, ledger=ledger, seq=seq)
    items, last = await _rows(fetch, sight, kind=kind_of(name), after=after, limit=limit)
    if name == RUNS and seq is None:
        items = tuple(as_of_now(desk, item) for item in items)
    return to_json(Page(items=items, next=to_cursor(place, last) if last else None, seq_global=head))


async def item(request: Request) -> Response:
    """`GET /v1/<nouns>/{id}`."""
    actor, name = await actor_of(request), _collection(request)
    check_names(request, "workspace_id", "stale", "as_of")
    id_ = str(request.path_params["id"])
    desk, kind = desk_of(request), kind_of(name)
    home = await entered(request, actor) if "workspace_id" in request.query_params else None
    row = await _fresh_row(request, actor, collection=name, id_=id_, home=home) if is_id(id_) else None
    if row is None or (home is not None and row[0] != home.workspace_id):
        raise Refused(missing(kind, id_[:80]))
    ledger = await desk.kernel.look(row[0])
    if ledger is None or not may_enter(actor, ledger):
        raise Refused(missing(kind, id_))
    seq = await moment_of(request, ledger)
    found = row[1]
    if seq is not None:
        scene = await desk.kernel.past.scene(VIEW_OF[name], ledger.workspace_id, seq=seq)
        found = scene.row(name, id_)
    sight = await sight_of(desk, actor, ledger=ledger, seq=seq)
    if found is None or not sight.shows(Subject(kind=kind, id=id_)):
        raise Refused(missing(kind, id_))
    shown = msgspec.Raw(found)
    return to_json(as_of_now(desk, shown) if name == RUNS and seq is None else shown)


def as_of_now(desk: Desk, row: msgspec.Raw) -> msgspec.Raw:
    """A run's row with what only this moment knows: that it waits for room to start, that its keeper is silent."""
    if REQUESTED not in bytes(row) and not desk.keepers.has_silent():
        return row
    run = msgspec.json.decode(row, type=RunItem)
    waits = desk.starts.waits(RunId(run.id)) if run.status == "requested" else None
    unanswered = desk.keepers.unanswered(RunId(run.id))
    if waits is None and unanswered is None:
        return row
    return msgspec.Raw(encode(msgspec.structs.replace(run, waits=waits, unanswered=unanswered)))


async def _fresh_row(
    request: Request, actor: Actor, *, collection: str, id_: str, home: Ledger | None
) -> tuple[WorkspaceId, bytes] | None:
    """The row as it is after everything that was durable when the request came.

    Nobody waits for a workspace that they may not enter, nor hears how it stands.
    """
    desk = desk_of(request)
    if home is not None:
        await await_view(request, home.workspace_id, of=(collection,))
        return await desk.kernel.view_store.row(collection, id_)
    homes = await desk.kernel.cabinet.listed() if actor.kind == "user" else enterable(desk, actor)
    found = await desk.kernel.view_store.row(collection, id_)
    if found is not None and found[0] not in homes:
        return None
    # An id alone does not say in which workspace to wait, unless the row is there already.
    for workspace_id in [found[0]] if found else homes:
        await await_view(request, workspace_id, of=(collection,))
    return await desk.kernel.view_store.row(collection, id_)


async def _source(desk: Desk, collection: str, *, ledger: Ledger, seq: int | None) -> Fetch:
    """Where the rows come from: the store for the present, a fold for the past."""
    home = ledger.workspace_id
    if seq is None:
        store = desk.kernel.view_store
        return lambda after, limit: store.rows(collection, workspace_id=home, after=after, limit=limit)
    scene = await desk.kernel.past.scene(VIEW_OF[collection], home, seq=seq)

    async def fetch(after: str, limit: int) -> list[tuple[str, bytes]]:
        return scene.page(collection, after=after, limit=limit)

    return fetch


async def _rows(
    fetch: Fetch, sight: Sight, *, kind: str, after: str, limit: int
) -> tuple[tuple[msgspec.Raw, ...], str | None]:
    """Visible rows, and where to go on when there may be more."""
    items: list[msgspec.Raw] = []
    while True:
        rows = await fetch(after, limit)
        for id_, data in rows:
            after = id_
            if sight.shows(Subject(kind=kind, id=id_)):
                items.append(msgspec.Raw(data))
            if len(items) == limit:
                return tuple(items), after
        if len(rows) < limit:
            return tuple(items), None


async def _entered_after(desk: Desk, actor: Actor, *, after: str, most: int) -> list[Ledger]:
    """Workspaces in the order of ids, loaded one by one and no more than are asked for; damaged ones are passed over."""
    found: list[Ledger] = []
    for workspace_id in await desk.kernel.cabinet.listed():
        if workspace_id <= after or desk.kernel.cabinet.is_out_of_reach(workspace_id):
            continue
        with suppress(Refused):
            ledger = await desk.kernel.look(workspace_id)
            found += [ledger] if ledger is not None and may_enter(actor, ledger) else []
        if len(found) == most:
            break
    return found


async def _workspaces(request: Request, actor: Actor, *, limit: int) -> Page:
    desk, moment = desk_of(request), as_of(request)
    if isinstance(moment, AtSeq):
        raise Refused(
            misfit("/as_of", "is a sequence, and each workspace has its own", hint="say a time instead")
        )
    place = WORKSPACES if moment is None else f"{WORKSPACES}@{to_timestamp(moment.at)}"
    after = _after(request, place)
    ledgers = await _entered_after(desk, actor, after=after, most=limit + 1)
    items: list[msgspec.Raw] = []
    for ledger in ledgers[:limit]:
        if moment is not None:
            found = await _workspace_then(desk, ledger, moment)
        else:
            await await_view(request, ledger.workspace_id, of=(WORKSPACES,))
            stored = await desk.kernel.view_store.row(WORKSPACES, ledger.workspace_id)
            found = stored[1] if stored is not None else None
        if found is not None:
            items.append(msgspec.Raw(found))
    more = to_cursor(place, ledgers[limit - 1].workspace_id) if len(ledgers) > limit else None
    return Page(items=tuple(items), next=more, seq_global=0)


async def _workspace_then(desk: Desk, ledger: Ledger, moment: AtTime) -> bytes | None:
    """Its row at a time; None where it was not there yet. Reads the few events of its own, not its whole log."""
    try:
        seq = await seq_of(desk, ledger, moment)
    except Refused as refused:
        if refused.rejection.details == {"reason": "as_of_before_first"}:
            return None
        raise
    return await desk.kernel.past.subject_row(
        VIEW_OF[WORKSPACES], WORKSPACES, workspace_id=ledger.workspace_id, seq=seq
    )


async def await_view(request: HTTPConnection, workspace_id: WorkspaceId, *, of: Sequence[str]) -> int:
    """The head at this moment, which the views of these collections have reached; `stale=ok` does not wait."""
    kernel = desk_of(request).kernel
    head = kernel.feed.head(workspace_id)
    if choice(request, "stale", "ok") is None:
        await kernel.projector.wait_for(workspace_id, head, of=of)
    return head


def _collection(request: Request) -> str:
    return request.url.path.split("/")[2]


def _after(request: Request, name: str) -> str:
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return ""
    after = from_cursor(name, cursor)
    if isinstance(after, Rejection):
        raise Refused(after)
    return after
