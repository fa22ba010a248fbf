"""`GET /v1/events/ws`: frames as on standard input and output, several subscriptions on one socket.

The bearer token is that of the request that opens the socket. At shutdown each subscription says
so, then the socket is closed with 1012, "service restart" (RFC 6455 and its registry).
"""

import asyncio
from functools import partial
from typing import Final

from starlette.types import Scope
from starlette.websockets import WebSocket

from moduprompt.protocol import Refused, misfit, to_error
from moduprompt.protocol.framing.stdio import error_bytes
from moduprompt.server.desk import caller_of, desk_of, token_of
from moduprompt.server.replies import error_response, note_refusal
from moduprompt.server.streams.frames import FrameSession
from moduprompt.server.wire import wire_of

RESTARTING: Final = 1012


async def events_socket(socket: WebSocket) -> None:
    """One socket, for as long as it lasts."""
    try:
        await caller_of(socket)
    except Refused as refused:
        await socket.send_denial_response(error_response(socket, to_error(refused.rejection)))
        return
    await socket.accept()
    wire = wire_of(socket)
    if wire is None:
        return
    session = FrameSession(
        socket.app,
        _base(socket),
        token=token_of(socket),
        send=lambda data: socket.send_text(data.decode()),
        noted=partial(note_refusal, socket),
        wire=wire,
    )
    receiving = asyncio.create_task(_receive(socket, session), name="socket")
    draining = asyncio.create_task(desk_of(socket).draining.wait(), name="draining")
    try:
        await asyncio.wait({receiving, draining}, return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            await session.drained()
            await socket.close(RESTARTING, "draining")
    finally:
        for task in (receiving, draining):
            task.cancel()
        await asyncio.gather(receiving, draining, return_exceptions=True)
        await session.end()


async def _receive(socket: WebSocket, session: FrameSession) -> None:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        text: str | None = message.get("text")
        if text is None:
            await socket.send_text(error_bytes(None, misfit("", "frames are text")).decode())
        else:
            await session.take(text.encode())


def _base(socket: WebSocket) -> Scope:
    """What the requests of this socket have in common with the one that opened it."""
    kept = ("asgi", "http_version", "server", "client", "root_path")
    return {name: socket.scope[name] for name in kept} | {
        "scheme": "http",
        "state": dict(socket.scope["state"]),
    }
