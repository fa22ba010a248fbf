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
from moduprompt.server.routes.parameters import check_names, entered, number

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
    check_names(request, *LISTED)
    _refuse_as_of(request)
    limit = number(request, "limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    after = _after(request, name)
    if name == WORKSPACES:
        return to_json(await _workspaces(desk_of(request), actor, after=after, limit=limit))
    ledger = await entered(request, actor)
    desk = desk_of(request)
    head = await _await_head(request, desk, ledger.workspace_id)
    items, last = await _rows(desk, actor, ledger=ledger, collection=name, after=after, limit=limit)
    return to_json(Page(items=items, next=to_cursor(name, last) if last else None, seq_global=head))


async def item(request: Request) -> Response:
    """`GET /v1/<nouns>/{id}`."""
    actor, name = await actor_of(request), _collection(request)
    check_names(request, "workspace_id", "stale", "as_of")
    _refuse_as_of(request)
    id_ = str(request.path_params["id"])
    desk, kind = desk_of(request), kind_of(name)
    if not is_id(id_):
        raise Refused(missing(kind, id_[:80]))
    if "workspace_id" in request.query_params:
        home = await entered(request, actor)
        await _await_head(request, desk, home.workspace_id)
    found = await desk.kernel.view_store.row(name, id_)
    if found is None and "workspace_id" not in request.query_params:
        found = await _late_row(desk, name, id_)
    if found is None:
        raise Refused(missing(kind, id_))
    ledger = await desk.kernel.find(found[0])
    if ledger is None or not may_enter(actor, ledger):
        raise Refused(missing(kind, id_))
    if not may_see(actor, ledger, Subject(kind=kind, id=id_)):
        raise Refused(missing(kind, id_))
    return to_json(msgspec.Raw(found[1]))


async def _late_row(desk: Desk, name: str, id_: str) -> tuple[WorkspaceId, bytes] | None:
    """The row, after every view has caught up: an id alone does not say in which workspace to wait."""
    for ledger in desk.kernel.cabinet.ledgers():
        head = desk.kernel.feed.head(ledger.workspace_id)
        await desk.kernel.projector.wait_for(ledger.workspace_id, head)
    return await desk.kernel.view_store.row(name, id_)


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


async def _workspaces(desk: Desk, actor: Actor, *, after: str, limit: int) -> Page:
    ids = [
        ledger.workspace_id
        for ledger in sorted(desk.kernel.cabinet.ledgers(), key=lambda each: each.workspace_id)
        if may_enter(actor, ledger) and ledger.workspace_id > after
    ]
    items: list[msgspec.Raw] = []
    for workspace_id in ids[:limit]:
        await desk.kernel.projector.wait_for(workspace_id, desk.kernel.feed.head(workspace_id))
        found = await desk.kernel.view_store.row(WORKSPACES, workspace_id)
        if found is not None:
            items.append(msgspec.Raw(found[1]))
    more = to_cursor(WORKSPACES, ids[limit - 1]) if len(ids) > limit else None
    return Page(items=tuple(items), next=more, seq_global=0)


async def _await_head(request: Request, desk: Desk, workspace_id: WorkspaceId) -> int:
    head = desk.kernel.feed.head(workspace_id)
    if request.query_params.get("stale") != "ok":
        await desk.kernel.projector.wait_for(workspace_id, head)
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


def _refuse_as_of(request: Request) -> None:
    if "as_of" in request.query_params:
        raise Refused(misfit("/as_of", "is reserved: reads of the past are not there yet"))
