"""`mpd serve-stdio`: frames on standard input and output, for programs that can hold a pipe and no socket.

It is a client like any other: the first request is `auth`, and what follows travels as it is
over one WebSocket to the daemon that runs, which answers it (ADR 0018). So it knows of no command
and has no rights, and one that is killed costs nobody anything. When the input ends, what was
asked is still answered; then it ends.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed
from moduprompt.client import ClientError
from moduprompt.client.sockets import Socket, open_socket
from moduprompt.protocol import Code, Rejection, decode, refusal
from moduprompt.protocol.framing.frames import StreamBroken
from moduprompt.protocol.framing.stdio import (
    ERROR,
    LineCutter,
    decode_reply,
    decode_request,
    error_bytes,
    request_id_of,
)

CHUNK_BYTES: Final = 64 * 1024  # of one read of standard input
CONNECT_S: Final = 5.0  # a daemon that runs answers at once
TARGET: Final = "/v1/events/ws"

Write: TypeAlias = Callable[[bytes], Awaitable[None]]
Connect: TypeAlias = Callable[[str], Awaitable[Socket]]


class _Auth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: str


async def relay(lines: AsyncIterator[bytes], write: Write, *, connect: Connect) -> None:
    """Until the input ends, or the daemon does. `write` waits while nobody reads.

    Raises Unreachable where the daemon is lost.
    """
    socket = await _authenticate(lines, write, connect=connect)
    if socket is None:
        return
    owed = _Owed()
    try:
        sending = asyncio.create_task(_send(lines, socket, owed=owed), name="input")
        receiving = asyncio.create_task(_receive(socket, write, owed=owed), name="output")
        try:
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            for task in (sending, receiving):
                if task.done():
                    task.result()
        finally:
            sending.cancel()
            receiving.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)
    finally:
        socket.close()


class _Owed:
    """How many requests wait for their answer."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def more(self) -> None:
        self._count += 1
        self._none.clear()

    def less(self) -> None:
        self._count -= 1
        if self._count <= 0:
            self._none.set()

    async def none(self) -> None:
        await self._none.wait()


async def _authenticate(lines: AsyncIterator[bytes], write: Write, *, connect: Connect) -> Socket | None:
    """The socket of whoever says who they are; None where the input ends before. Relays that first request too."""
    async for line in lines:
        request = decode_request(line)
        if isinstance(request, Rejection):
            await write(error_bytes(request_id_of(line), request))
            continue
        given = decode(request.payload, _Auth) if request.type == "auth" else _no_auth()
        if isinstance(given, Rejection):
            await write(error_bytes(request.request_id, given))
            continue
        try:
            socket = await connect(given.token)
        except ClientError as fault:
            await write(error_bytes(request.request_id, fault.to_error()))
            continue
        await socket.send(line)
        answer = await socket.receive()
        if answer is not None:
            await write(answer)
        return socket
    return None


async def _send(lines: AsyncIterator[bytes], socket: Socket, *, owed: _Owed) -> None:
    async for line in lines:
        owed.more()
        await socket.send(line)
    await owed.none()


async def _receive(socket: Socket, write: Write, *, owed: _Owed) -> None:
    while (message := await socket.receive()) is not None:
        await write(message)
        kind = decode_reply(message).type
        if kind == ERROR or kind.endswith(".response"):
            owed.less()


def _no_auth() -> Rejection:
    return refusal(
        Code.UNAUTHORIZED,
        "the first request is auth",
        hint='{"type": "auth", "schema_version": 1, "payload": {"token": "the one in daemon.json, or MP_TOKEN"}}',
    )


async def cut_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The lines of the input. Raises StreamBroken where one does not end."""
    cutter = LineCutter()
    async for chunk in chunks:
        for line in cutter.feed(chunk):
            yield line


async def serve_stdio(call: Call) -> None:
    """Relay standard input and output."""
    endpoint = await call.endpoint()

    async def connect(token: str) -> Socket:
        own = msgspec.structs.replace(endpoint, token=token)
        return await open_socket(own, TARGET, timeout_s=CONNECT_S)

    try:
        await relay(cut_lines(_standard_input()), _write, connect=connect)
    except StreamBroken as fault:
        raise failed(Code.INVALID_SCHEMA, str(fault), hint="one JSON frame a line") from fault


async def _standard_input() -> AsyncGenerator[bytes]:
    """What comes, of whatever kind the input is. The thread that reads it never outlives the program."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(1)  # so that the queue holds one chunk at most

    def read() -> None:
        data = b"more"
        while data:
            room.acquire()
            data = os.read(sys.stdin.fileno(), CHUNK_BYTES)
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, data)
            except RuntimeError:  # the program ends: nobody wants the input any more
                return

    threading.Thread(target=read, name="standard-input", daemon=True).start()
    while data := await chunks.get():
        yield data
        room.release()


async def _write(frame: bytes) -> None:
    await asyncio.to_thread(_write_line, frame)


def _write_line(frame: bytes) -> None:
    sys.stdout.buffer.write(frame + b"\n")
    sys.stdout.buffer.flush()
