"""Read models: one collection per noun, the same for every one of them.

A read waits until its view has reached the head that stood when it arrived, unless
`stale=ok`. What the actor may not see is passed over.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.visibility import may_enter, may_see
from moduprompt.protocol import (
    Actor,
    Page,
    Refused,
    Rejection,
    Subject,
    WorkspaceId,
    from_cursor,
    is_id,
    misfit,
    missing,
    to_cursor,
)
from moduprompt.server.desk import Desk, actor_of, desk_of
from moduprompt.server.replies import to_json
from moduprompt.server.routes.parameters import check_names, choice, entered, number

PAGE_DEFAULT = 100
PAGE_MAX = 1_000
WORKSPACES = "workspaces"
LISTED = ("workspace_id", "cursor", "limit", "stale", "as_of")


def kind_of(collection: str) -> str:
    """The noun of a collection: `worktrees` holds worktrees."""
    return collection.removesuffix("s")


async def collection(request: Request) -> Response:
    """`GET /v1/<nouns>`."""
    actor, name = await actor_of(request), _collection(request)
    # A workspace is not in a workspace, and a parameter that nobody reads must not show everything.
    check_names(request, *(each for each in LISTED if (name, each) != (WORKSPACES, "workspace_id")))
    refuse_as_of(request)
    limit = number(request, "limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    after = _after(request, name)
    if name == WORKSPACES:
        return to_json(await _workspaces(request, actor, after=after, limit=limit))
    ledger, desk = await entered(request, actor), desk_of(request)
    head = await await_view(request, ledger.workspace_id)
    items, last = await _rows(desk, actor, ledger=ledger, collection=name, after=after, limit=limit)
    return to_json(Page(items=items, next=to_cursor(name, last) if last else None, seq_global=head))


async def item(request: Request) -> Response:
    """`GET /v1/<nouns>/{id}`."""
    actor, name = await actor_of(request), _collection(request)
    check_names(request, "workspace_id", "stale", "as_of")
    refuse_as_of(request)
    id_ = str(request.path_params["id"])
    desk, kind = desk_of(request), kind_of(name)
    home = await entered(request, actor) if "workspace_id" in request.query_params else None
    row = await _fresh_row(request, collection=name, id_=id_, home=home) if is_id(id_) else None
    if row is None or (home is not None and row[0] != home.workspace_id):
        raise Refused(missing(kind, id_[:80]))
    ledger = await desk.kernel.find(row[0])
    if ledger is None or not may_enter(actor, ledger):
        raise Refused(missing(kind, id_))
    if not may_see(actor, ledger, Subject(kind=kind, id=id_)):
        raise Refused(missing(kind, id_))
    return to_json(msgspec.Raw(row[1]))


async def _fresh_row(
    request: Request, *, collection: str, id_: str, home: Ledger | None
) -> tuple[WorkspaceId, bytes] | None:
    """The row as it is after everything that was durable when the request came."""
    desk = desk_of(request)
    if home is not None:
        await await_view(request, home.workspace_id)
        return await desk.kernel.view_store.row(collection, id_)
    found = await desk.kernel.view_store.row(collection, id_)
    # An id alone does not say in which workspace to wait, unless the row is there already.
    homes = [found[0]] if found else [each.workspace_id for each in await desk.kernel.cabinet.every()]
    for workspace_id in homes:
        await await_view(request, workspace_id)
    return await desk.kernel.view_store.row(collection, id_)


async def _rows(
    desk: Desk, actor: Actor, *, ledger: Ledger, collection: str, after: str, limit: int
) -> tuple[tuple[msgspec.Raw, ...], str | None]:
    """Visible rows, and where to go on when there may be more."""
    kind = kind_of(collection)
    items: list[msgspec.Raw] = []
    while True:
        rows = await desk.kernel.view_store.rows(
            collection, workspace_id=ledger.workspace_id, after=after, limit=limit
        )
        for id_, data in rows:
            after = id_
            if may_see(actor, ledger, Subject(kind=kind, id=id_)):
                items.append(msgspec.Raw(data))
            if len(items) == limit:
                return tuple(items), after
        if len(rows) < limit:
            return tuple(items), None


async def _workspaces(request: Request, actor: Actor, *, after: str, limit: int) -> Page:
    desk = desk_of(request)
    ids = [
        ledger.workspace_id
        for ledger in await desk.kernel.cabinet.every()
        if may_enter(actor, ledger) and ledger.workspace_id > after
    ]
    items: list[msgspec.Raw] = []
    for workspace_id in ids[:limit]:
        await await_view(request, workspace_id)
        found = await desk.kernel.view_store.row(WORKSPACES, workspace_id)
        if found is not None:
            items.append(msgspec.Raw(found[1]))
    more = to_cursor(WORKSPACES, ids[limit - 1]) if len(ids) > limit else None
    return Page(items=tuple(items), next=more, seq_global=0)


async def await_view(request: Request, workspace_id: WorkspaceId) -> int:
    """The head at this moment, which the views have reached; `stale=ok` does not wait."""
    kernel = desk_of(request).kernel
    head = kernel.feed.head(workspace_id)
    if choice(request, "stale", "ok") is None:
        await kernel.projector.wait_for(workspace_id, head)
    return head


def refuse_as_of(request: Request) -> None:
    """Reserved on all reads. Raises Refused."""
    if "as_of" in request.query_params:
        raise Refused(misfit("/as_of", "is reserved: reads of the past are not there yet"))


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
