"""What the daemon answers while it is still opening its log: that it lives, and how far it is.

A log of a million events takes seconds. Until then `ping` is answered as ever, and everything else with
`unavailable`, the reason `starting`, what is being done, and when to come again. Nothing here knows a token, so
nothing of the data is told.
"""

import socket
import time
from collections.abc import Callable
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope, Send

from moduprompt.kernel.meters import Meters
from moduprompt.protocol import Code, Micros, Ping, refusal, to_error, to_timestamp
from moduprompt.server.doors import Porter
from moduprompt.server.guard import LoopbackGuard
from moduprompt.server.replies import error_response, to_json, trace_of

PING: Final = "/v1/daemon/ping"
REASON: Final = "starting"
TRY_AGAIN_LATER: Final = 1013  # of WebSocket close codes, for who asks for one


class StartingApp:
    """The ASGI application of a daemon that is starting. `doing` is asked at each request."""

    def __init__(self, *, version: str, doing: Callable[[], str]) -> None:
        self._version = version
        self._doing = doing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; a WebSocket is turned away."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": REASON})
            return
        if scope["path"] == PING and scope["method"] == "GET":
            now = to_timestamp(Micros(time.time_ns() // 1_000))
            await to_json(Ping(version=self._version, timestamp=now))(scope, receive, send)
            return
        doing = self._doing()
        told = refusal(
            Code.UNAVAILABLE,
            f"the daemon is starting: {doing}",
            hint="it answers by itself when it is through",
            details={"reason": REASON, "doing": doing},
        )
        request: HTTPConnection = Request(scope, receive)
        await error_response(request, to_error(told, trace_of(request)))(scope, receive, send)


async def open_lobby(sockets: list[socket.socket], app: StartingApp) -> Porter:
    """Answer on copies of these sockets until it is stopped; who connects in between waits for the doors."""
    lobby = Porter(Meters())
    for each in sockets:
        copy = each.dup()
        copy.settimeout(0)
        await lobby.open(copy, app if each.family == socket.AF_UNIX else LoopbackGuard(app))
    return lobby
