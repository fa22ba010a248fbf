"""The log: pages of it, streams of it, and where it stands."""

from collections.abc import Callable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from moduprompt.kernel.bell import Bell
from moduprompt.kernel.feed import Glance
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.tracks import WAIT_S
from moduprompt.kernel.visibility import may_see_all, sees_event
from moduprompt.protocol import Actor, Code, EventPage, Refused, refusal
from moduprompt.server.desk import Desk, actor_of, caller_of, desk_of, is_still_known, user_of
from moduprompt.server.replies import head_of, to_json
from moduprompt.server.routes.moments import moment_of, sight_of
from moduprompt.server.routes.parameters import check_names, choice, entered, filter_of, number, start_of
from moduprompt.server.streams.follow import NDJSON, SSE, Body, Framing, Stream
from moduprompt.server.streams.frames import PUSHED, Pushed
from moduprompt.server.wire import wire_of

PAGE_DEFAULT = 200
PAGE_MAX = 1_000  # about a megabyte of events; who wants more asks again, or streams
FILTERS = ("types", "project_id", "subject")

_glance = msgspec.json.Decoder(Glance)


async def page(request: Request) -> Response:
    """`GET /v1/events`: events after `from`, in order, at most `limit`."""
    actor = await actor_of(request)
    check_names(request, "workspace_id", "from", "limit", "raw", "as_of", *FILTERS)
    is_raw = choice(request, "raw", "0", "1") == "1"
    ledger = await entered(request, actor)
    kernel, only = desk_of(request).kernel, filter_of(request)
    limit = number(request, "limit", default=PAGE_DEFAULT, least=1, most=PAGE_MAX)
    then = await moment_of(request, ledger)
    head = kernel.feed.head(ledger.workspace_id) if then is None else then
    after = await start_of(request, head=head)
    sight = await sight_of(desk_of(request), actor, ledger=ledger, seq=then)
    items: list[msgspec.Raw] = []
    while len(items) < limit and after < head:
        stored = await kernel.read_events(ledger.workspace_id, after=after, limit=min(PAGE_MAX, head - after))
        for each in stored:
            after = each.seq
            glance = _glance.decode(each.data)
            if only.takes(glance) and sight.shows(glance.subject):
                items.append(msgspec.Raw((each if is_raw else kernel.feed.served(each)).data))
            if len(items) == limit:
                break
    return to_json(EventPage(items=tuple(items), seq_global=head))


async def stream_sse(request: Request) -> Response:
    """`GET /v1/events/stream`."""
    return await _stream(request, SSE)


async def stream_ndjson(request: Request) -> Response:
    """`GET /v1/events/stream-ndjson`."""
    return await _stream(request, NDJSON)


async def log_head(request: Request) -> Response:
    """`GET /v1/log/head`: sequence, chain and state of one workspace, as this daemon has them on its disk.

    For users: it vouches for everything in the workspace, of which a session sees its lineage.
    """
    hint = "ask the workspace's owner: mpctl log verify"
    actor = await user_of(request, "the head of a whole log is for users", hint=hint)
    kernel = desk_of(request).kernel
    check_names(request, "workspace_id", "as_of")
    ledger, feed = await entered(request, actor), kernel.feed
    then = await moment_of(request, ledger)
    if then is not None:
        past = await kernel.past.ledger(ledger.workspace_id, seq=then, imported_to=ledger.imported_to)
        return to_json(await head_of(past))
    head = await head_of(ledger)
    # What was decided last may still be on its way to the disk; nobody may hear of it before it is there.
    if not await feed.wait_past(ledger.workspace_id, head.seq - 1, timeout_s=WAIT_S):
        raise Refused(refusal(Code.UNAVAILABLE, "the disk does not keep up", hint="ask again"))
    return to_json(head)


async def _stream(request: Request, framing: Framing) -> Response:
    caller, desk = await caller_of(request), desk_of(request)
    check_names(request, "workspace_id", "from", *FILTERS)
    ledger = await entered(request, caller.actor)
    only, feed = filter_of(request), desk.kernel.feed
    after = await start_of(request, head=feed.head(ledger.workspace_id))
    wire, pushed, bell = wire_of(request), request.scope["state"].get(PUSHED), Bell()
    if wire is None:
        raise ClientDisconnect
    steps = feed.follow(
        ledger.workspace_id,
        after=after,
        only=only,
        sees=_sight(caller.actor, lambda: _current(desk, ledger)),
        lasts=lambda: not wire.is_gone and is_still_known(caller, desk),
        bell=bell,
    )
    desk.streams.take(caller.actor)  # last: nothing that follows can fail
    return Stream(
        steps,
        pushed if isinstance(pushed, Pushed) else Body(wire, framing),
        media_type=framing.media_type,
        bell=bell,
        end_reason=lambda: "draining" if feed.is_draining else "token_ended",
        left=lambda: desk.streams.give_back(caller.actor),
    )


def _sight(actor: Actor, ledger: Callable[[], Ledger]) -> Callable[[Glance], bool]:
    """Which events exist for an actor. Who sees all is not asked about each."""
    if may_see_all(actor):
        return _seen
    return lambda glance: sees_event(actor, ledger(), glance)


def _seen(_: Glance) -> bool:
    return True


def _current(desk: Desk, ledger: Ledger) -> Ledger:
    """The workspace as it is in memory now: after a storage error it is folded anew."""
    return desk.kernel.cabinet.shown(ledger.workspace_id) or ledger
