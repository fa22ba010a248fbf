"""`GET /v1/runs/{id}/terminal`: a person at a run's terminal, over a WebSocket.

    ← {"type": "attached", "run_id", "offset", "picture_bytes", "rows", "cols", "types", "typist"?}  text, first
    ← bytes                 `picture_bytes` of them draw the screen; then the run's output from `offset` on
    → bytes                 keys, as they came
    → {"type": "resize", "rows", "cols"}                                               text
    ← {"type": "refused", "message"}         keys that were not typed
    ← {"type": "ended"} or {"type": "draining"}                                        text, last

`from=<byte>` leaves the drawing out and goes on at that byte: for who was there already. One seat types;
`watch=1` asks for none to type with. Only users type: a session prompts, which leaves a trace.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Final, Literal

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from moduprompt.protocol import Code, Refused, Rejection, decode, encode, refusal, to_error
from moduprompt.server.desk import Caller, Desk, Seat, caller_of, desk_of, is_still_known
from moduprompt.server.replies import error_response
from moduprompt.server.routes.parameters import check_names, choice, number
from moduprompt.server.routes.runs import visible_run
from moduprompt.server.routes.sockets import RESTARTING

KEYS_BYTES_MAX: Final = 64 * 1024  # of one message: a paste; half of what a keeper takes at once
TOO_BIG: Final = 1009  # RFC 6455, 7.4.1


class Attached(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="attached"):
    """The seat is taken. `typist` is who types where this seat doesn't."""

    run_id: str
    offset: int
    picture_bytes: int
    rows: int
    cols: int
    types: bool
    typist: str | None = None


class Resize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The window of whoever types."""

    type: Literal["resize"]
    rows: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    cols: Annotated[int, msgspec.Meta(ge=1, le=1_000)]


class _Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: Literal["refused", "ended", "draining"]
    message: str | None = None


async def terminal(socket: WebSocket) -> None:
    """One seat, for as long as it is taken."""
    try:
        caller = await caller_of(socket)
        with desk_of(socket).streams.held(caller.actor):
            await _sit(socket, caller)
    except Refused as refused:
        await socket.send_denial_response(error_response(socket, to_error(refused.rejection)))


async def _sit(socket: WebSocket, caller: Caller) -> None:
    async with await _seated(socket, caller) as seat:
        await socket.accept()
        with suppress(WebSocketDisconnect, RuntimeError):  # whoever sat here has gone in between
            await _serve(socket, seat, caller)


async def _seated(socket: WebSocket, caller: Caller) -> Seat:
    check_names(socket, "workspace_id", "from", "watch")
    choice(socket, "watch", "0", "1")
    number(socket, "from", default=0)
    run = await visible_run(socket, caller)
    seat = await desk_of(socket).terminals.attach(run.run_id, user_id=caller.actor.id)
    if seat is None:
        raise Refused(
            refusal(
                Code.VALIDATION_FAILED,
                f"run {run.run_id} has no living terminal",
                hint=f"mpctl run screen {run.run_id} shows what stood there",
                details={"reason": "run_not_live"},
            )
        )
    return seat


async def _serve(socket: WebSocket, seat: Seat, caller: Caller) -> None:
    desk = desk_of(socket)
    wants_to_type = socket.query_params.get("watch") != "1" and caller.actor.kind == "user"
    typist = seat.take_keyboard() if wants_to_type else None
    is_typing = wants_to_type and typist is None
    run_id = str(socket.path_params["id"])
    picture = await desk.terminals.picture(run_id)
    goes_on = "from" in socket.query_params
    offset = number(socket, "from", default=0) if goes_on else picture.offset
    drawing = b"" if goes_on else picture.data
    attached = Attached(
        run_id=run_id,
        offset=offset,
        picture_bytes=len(drawing),
        rows=picture.rows,
        cols=picture.cols,
        types=is_typing,
        typist=typist,
    )
    await socket.send_text(encode(attached).decode())
    if drawing:
        await socket.send_bytes(drawing)
    output = seat.output(offset, is_typing=is_typing)
    sending = asyncio.create_task(_send(socket, output, caller=caller, desk=desk), name="terminal-output")
    taking = asyncio.create_task(_take(socket, seat, is_typing=is_typing), name="terminal-keys")
    draining = asyncio.create_task(desk.draining.wait(), name="terminal-draining")
    tasks = (sending, taking, draining)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        has_ended = sending.done() and not seat.has_lost_keeper
        comes_again = draining.done() or seat.has_lost_keeper
        await _say_goodbye(socket, has_ended=has_ended, comes_again=comes_again)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _say_goodbye(socket: WebSocket, *, has_ended: bool, comes_again: bool) -> None:
    if has_ended:
        await _note(socket, _Note(type="ended"))
        await socket.close()
    elif comes_again:  # at the byte where it broke off: then it is known what became of the run
        await _note(socket, _Note(type="draining"))
        await socket.close(RESTARTING, "draining")


async def _send(socket: WebSocket, output: AsyncGenerator[bytes], *, caller: Caller, desk: Desk) -> None:
    async with aclosing(output):
        async for piece in output:
            if not is_still_known(caller, desk):
                return
            await socket.send_bytes(piece)


async def _take(socket: WebSocket, seat: Seat, *, is_typing: bool) -> None:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        keys: bytes | None = message.get("bytes")
        text: str | None = message.get("text")
        if keys is not None and len(keys) > KEYS_BYTES_MAX:
            await socket.close(TOO_BIG, f"keys come in messages of at most {KEYS_BYTES_MAX} bytes")
            return
        why = await _typed(seat, keys, is_typing=is_typing) if keys is not None else None
        if text is not None:
            why = await _resized(seat, text, is_typing=is_typing)
        if why is not None:
            await _note(socket, _Note(type="refused", message=why))


async def _typed(seat: Seat, keys: bytes, *, is_typing: bool) -> str | None:
    return await seat.type(keys) if is_typing else "this seat only watches"


async def _resized(seat: Seat, text: str, *, is_typing: bool) -> str | None:
    wanted = decode(text.encode(), Resize)
    if isinstance(wanted, Rejection):
        return wanted.message
    if is_typing:  # a watcher's window changes nothing for the others
        await seat.resize(rows=wanted.rows, cols=wanted.cols)
    return None


async def _note(socket: WebSocket, note: _Note) -> None:
    await socket.send_text(encode(note).decode())
