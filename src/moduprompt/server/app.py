"""The ASGI application: its routes, and how a refusal or a fault becomes an answer.

Commands take a short way, past the framework's middleware and its list of routes, which cost
more than all we do with one over HTTP. The routes name them too, for who asks with another
method and for the published document.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from moduprompt.domain.deciders import VIEWS
from moduprompt.protocol import Actor, Code, ErrorObject, Refused, misfit, missing, refusal, to_error
from moduprompt.server.catalogue import ARTIFACTS
from moduprompt.server.desk import Desk, desk_of
from moduprompt.server.replies import BodyTooLarge, error_response, to_refusal, trace_of
from moduprompt.server.routes import (
    agents,
    artifacts,
    board,
    bundles,
    commands,
    daemon,
    events,
    reads,
    runs,
    schemas,
    search,
    sockets,
    terminals,
    views,
)
from moduprompt.storage.port import StorageFailed

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

COMMANDS: Final[dict[str, Endpoint]] = {
    "/v1/commands/submit": commands.submit,
    "/v1/commands/batch": commands.batch,
}
NOBODY: Final = Actor(kind="system", id="server")  # a seat is taken before it is known who asks

log = logging.getLogger(__name__)


class App(Starlette):
    """Routes, and a short way for commands."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, one socket."""
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        endpoint = COMMANDS.get(scope["path"]) if is_post else None
        if endpoint is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except Exception as fault:  # noqa: BLE001 - each kind has its handler, the last of which logs
            handle = next(each for kind, each in HANDLERS.items() if isinstance(fault, kind))
            response = await handle(request, fault)
        await response(scope, receive, send)


def build_app(desk: Desk) -> App:
    """The application over one kernel."""
    app = App(
        routes=[
            *fixed_routes(),
            *collection_routes(),
            WebSocketRoute("/v1/events/ws", sockets.events_socket),
            WebSocketRoute("/v1/runs/{id}/terminal", terminals.terminal),
        ],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False  # /v1/events/ is no route; a redirect would name a host
    app.state.desk = desk
    return app


def fixed_routes() -> list[Route]:
    """Everything that is no collection."""
    return [
        Route("/v1/daemon/ping", daemon.ping),
        Route("/v1/daemon/ready", daemon.ready),
        Route("/v1/recovery", _read(daemon.recovery)),
        Route("/v1/agents", _read(agents.agents)),
        Route("/v1/metrics", daemon.metrics),
        *(Route(path, endpoint, methods=["POST"]) for path, endpoint in COMMANDS.items()),
        Route("/v1/events", _read(events.page)),
        Route("/v1/events/stream", events.stream_sse),
        Route("/v1/events/stream-ndjson", events.stream_ndjson),
        Route("/v1/log/head", _read(events.log_head)),
        Route("/v1/log/export", bundles.export_log),
        Route("/v1/log/import", bundles.import_log, methods=["POST"]),
        Route("/v1/board", _read(board.board)),
        Route("/v1/search", _read(search.search)),
        Route("/v1/views", _read(views.views)),
        Route("/v1/views/{name}/rebuild", views.rebuild, methods=["POST"]),
        Route("/v1/artifacts/{ref}", _read(artifacts.artifact)),
        Route("/v1/artifacts/{ref}/about", _read(artifacts.about)),
        Route("/v1/runs/{id}/output", _read(runs.output)),
        Route("/v1/runs/{id}/recording", _read(runs.recording)),
        Route("/v1/schemas", schemas.schemas),
        Route("/v1/schemas/{family}/{type}/{version}", schemas.schema),
        Route("/v1/openapi.json", schemas.document),
    ]


def collection_routes() -> list[Route]:
    """Two for each collection of the aggregates' views; an artifact's name leads to its bytes instead."""
    names = [name for view in VIEWS for name, _ in view.collections]
    lists = [Route(f"/v1/{name}", _read(reads.collection)) for name in names]
    return lists + [Route(f"/v1/{name}/{{id}}", _read(reads.item)) for name in names if name != ARTIFACTS]


def _read(endpoint: Endpoint) -> Endpoint:
    """So many at a time. A body that goes on after the answer was made is the connection's business."""

    @wraps(endpoint)
    async def seated(request: Request) -> Response:
        with desk_of(request).reads.held(NOBODY):
            return await endpoint(request)

    return seated


async def _refused(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, Refused), "BUG: registered for Refused"
    return to_refusal(request, fault.rejection)


async def _too_large(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, BodyTooLarge), "BUG: registered for BodyTooLarge"
    response = to_refusal(request, fault.rejection)
    response.headers["Connection"] = "close"  # the rest of the body is not wanted
    return response


async def _unavailable(request: Request, fault: Exception) -> Response:
    log.error("storage.failed", extra={"fault": str(fault), "path": request.url.path})
    rejection = refusal(Code.UNAVAILABLE, "the store can't be read at this moment", hint="try again shortly")
    return to_refusal(request, rejection)


async def _no_route(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException), "BUG: registered for HTTPException"
    if fault.status_code == 405:
        response = to_refusal(request, misfit("/method", f"{request.method} is not taken here"))
        response.status_code = 405
        response.headers.update(fault.headers or {})
        return response
    return to_refusal(
        request, missing("route", request.url.path[:200], hint="GET /v1/openapi.json lists them")
    )


async def _gone(_request: Request, _fault: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it: the client has hung up


async def _fault(request: Request, fault: Exception) -> Response:
    trace_id = trace_of(request)
    log.error("request.fault", exc_info=fault, extra={"path": request.url.path, "trace_id": trace_id})
    rejection = refusal(
        Code.INTERNAL,
        "a fault of the daemon's; its log says more",
        hint="mpctl daemon status says where that lies",
    )
    error: ErrorObject = to_error(rejection, trace_id)
    return error_response(request, error)


HANDLERS: Final[dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = {
    Refused: _refused,
    BodyTooLarge: _too_large,
    StorageFailed: _unavailable,
    HTTPException: _no_route,
    ClientDisconnect: _gone,
    Exception: _fault,
}
"""What becomes of what a route raises: the first that fits."""
