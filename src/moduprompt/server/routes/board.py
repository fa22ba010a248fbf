"""The board of a workspace, as it stands or as it stood: nodes, edges, lanes, and what waits for whom."""

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from moduprompt.domain.item import Item
from moduprompt.protocol import Code, Refused, WorkspaceId, refusal
from moduprompt.server.desk import desk_of, user_of
from moduprompt.server.replies import to_json
from moduprompt.server.routes.moments import moment_of
from moduprompt.server.routes.parameters import check_names, entered
from moduprompt.server.routes.reads import await_view
from moduprompt.storage.port import READ_MAX
from moduprompt.views.board import VIEW, to_board
from moduprompt.views.board_rows import BoardCount, BoardEdge, BoardNode

SNAPSHOT_TRIES = 20  # a fold between two reads of the store is rare; twenty in a row is a flood

ItemT = TypeVar("ItemT", bound=Item)  # the row's type


async def board(request: Request) -> Response:
    """`GET /v1/board`: a snapshot at a sequence; the events after it lead on."""
    what = "the board shows the whole workspace and is open to its users only"
    actor = await user_of(request, what, hint="a session sees its own lineage: mpctl session tree")
    check_names(request, "workspace_id", "stale", "as_of")
    ledger = await entered(request, actor)
    home, then = ledger.workspace_id, await moment_of(request, ledger)
    if then is not None:
        scene = await desk_of(request).kernel.past.scene(VIEW, home, seq=then)
        counts = scene.every(BoardCount)
        return to_json(to_board(scene.every(BoardNode), scene.every(BoardEdge), counts=counts, seq=then))
    await await_view(request, home, of=[name for name, _ in VIEW.collections])
    store = desk_of(request).kernel.view_store
    for _ in range(SNAPSHOT_TRIES):
        seq = await store.position(VIEW, home)
        nodes = await _rows(request, "board_nodes", BoardNode, workspace_id=home)
        edges = await _rows(request, "board_edges", BoardEdge, workspace_id=home)
        counts = await _rows(request, "board_counts", BoardCount, workspace_id=home)
        if await store.position(VIEW, home) == seq:
            return to_json(to_board(nodes, edges, counts=counts, seq=seq))
    raise Refused(
        refusal(Code.UNAVAILABLE, f"the board of workspace {home} moves too fast", hint="ask again")
    )


async def _rows(request: Request, collection: str, kind: type[ItemT], *, workspace_id: str) -> list[ItemT]:
    store = desk_of(request).kernel.view_store
    decoder = msgspec.json.Decoder(kind)
    found: list[ItemT] = []
    after = ""
    while True:
        rows = await store.rows(
            collection, workspace_id=WorkspaceId(workspace_id), after=after, limit=READ_MAX
        )
        found += [decoder.decode(data) for _, data in rows]
        if len(rows) < READ_MAX:
            return found
        after = rows[-1][0]
