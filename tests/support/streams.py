"""A stream of events as a client reads it: one connection, its bytes cut into frames."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlencode

import h11
import msgspec

from moduprompt.cli.stdio import cut_lines, relay
from moduprompt.client import Endpoint, Transport
from moduprompt.client.sockets import Socket, open_socket
from moduprompt.protocol import HTTP_STATUS, ErrorObject, WorkspaceId, decode_event, encode
from moduprompt.protocol.framing.frames import End, EventFrame, Frame, Position
from moduprompt.protocol.framing.ndjson import NdjsonReader
from moduprompt.protocol.framing.sse import SseReader
from moduprompt.protocol.framing.stdio import ERROR, PUSHED, decode_reply, to_pushed
from tests.support.served import TOKEN

PATHS: Final[Mapping[Transport, str]] = {"sse": "/v1/events/stream", "ndjson": "/v1/events/stream-ndjson"}
PATIENCE_S: Final = 10.0
SUBSCRIPTION: Final = "the one"
AnyTransport = Literal["sse", "ndjson", "ws", "stdio"]
STREAMS: Final[Mapping[AnyTransport, str]] = {"sse": PATHS["sse"], "ndjson": PATHS["ndjson"]}
TRANSPORTS: Final[tuple[AnyTransport, ...]] = ("sse", "ndjson", "ws", "stdio")


class Opened(ABC):
    """A stream that is being read."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_ended = False

    async def next(self) -> Frame | None:
        """The next frame; None when the daemon has ended the stream."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._frames and not self.has_ended:
                await self._read()
        return self._frames.pop(0) if self._frames else None

    async def events(self, count: int) -> list[int]:
        """The sequences of the next events; positions between them are passed over."""
        found: list[int] = []
        while len(found) < count:
            frame = await self.next()
            assert frame is not None, f"the stream ended after {found}"
            assert not isinstance(frame, End), f"the stream ended after {found}: {frame}"
            if isinstance(frame, EventFrame):
                assert decode_event(frame.data).seq_global == frame.seq
                found.append(frame.seq)
        return found

    async def position(self) -> int:
        """The next position; events before it are passed over."""
        while not isinstance(frame := await self.next(), Position):
            assert isinstance(frame, EventFrame), frame
        return frame.seq

    async def end(self) -> str:
        """Why it ended; what comes before is passed over."""
        while not isinstance(frame := await self.next(), End):
            assert frame is not None, "the stream ended without a word"
        assert await self.next() is None, "something came after the end"
        return frame.reason

    async def begin(self) -> None:
        """Read the head."""
        while not self.status:
            await self._read()

    @abstractmethod
    async def _read(self) -> None:
        """Whatever comes next."""


class OverHttp(Opened):
    """A body that goes on."""

    def __init__(self, transport: AnyTransport, reader: asyncio.StreamReader, http: h11.Connection) -> None:
        super().__init__()
        self._reader = reader
        self._http = http
        self._cut = SseReader() if transport == "sse" else NdjsonReader()

    async def _read(self) -> None:
        match self._http.next_event():
            case h11.Response() as head:
                self.status = head.status_code
                self.headers = {name.decode(): value.decode() for name, value in head.headers}
            case h11.Data() as data:
                self._frames += self._cut.feed(bytes(data.data))
            case h11.EndOfMessage():
                self.has_ended = True
            case h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(65_536))
            case other:
                raise AssertionError(f"no stream: {other}")


class InFrames(Opened):
    """One subscription among others."""

    def __init__(self, receive: Callable[[], Awaitable[bytes | None]]) -> None:
        super().__init__()
        self._receive = receive

    async def _read(self) -> None:
        message = await self._receive()
        if message is None:
            self.has_ended = True
            return
        reply = decode_reply(message)
        if reply.type == "auth.response":
            return
        assert reply.request_id == SUBSCRIPTION, reply
        if reply.type == ERROR:
            refused = msgspec.json.decode(reply.payload, type=ErrorObject)
            self.status, self.has_ended = HTTP_STATUS[refused.code], True
        elif reply.type == PUSHED:
            frame = to_pushed(reply)
            self._frames.append(frame)
            self.has_ended = isinstance(frame, End)
        else:
            self.status = 200


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    transport: AnyTransport
    workspace_id: WorkspaceId
    query: Mapping[str, str | int] = {}
    token: str = TOKEN
    headers: Mapping[str, str] = {}


@asynccontextmanager
async def follow(socket: Path, wanted: Subscription) -> AsyncGenerator[Opened]:
    """A stream on a connection of its own."""
    opens = {"ws": _over_websocket, "stdio": _over_stdio}.get(wanted.transport, _over_http)
    async with opens(socket, wanted) as opened:
        async with asyncio.timeout(PATIENCE_S):
            await opened.begin()
        yield opened


@asynccontextmanager
async def _over_websocket(socket: Path, wanted: Subscription) -> AsyncGenerator[Opened]:
    opened = await _connect(socket, wanted.token)
    try:
        await opened.send(subscribe(wanted))
        yield InFrames(opened.receive)
    finally:
        opened.close()


@asynccontextmanager
async def _over_stdio(socket: Path, wanted: Subscription) -> AsyncGenerator[Opened]:
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    said: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)  # a pipe that is full at once
    for frame in (request("auth", {"token": wanted.token}), subscribe(wanted)):
        asked.put_nowait(frame + b"\n")
    relaying = asyncio.create_task(
        relay(cut_lines(_taken_from(asked)), said.put, connect=lambda token: _connect(socket, token))
    )
    try:
        yield InFrames(said.get)
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)


async def _taken_from(chunks: asyncio.Queue[bytes]) -> AsyncGenerator[bytes]:
    while chunk := await chunks.get():
        yield chunk


async def _connect(socket: Path, token: str) -> Socket:
    return await open_socket(Endpoint(token=token, socket=str(socket)), "/v1/events/ws", timeout_s=PATIENCE_S)


def subscribe(wanted: Subscription) -> bytes:
    """The frame that asks for the same as a query does."""
    payload: dict[str, object] = {"workspace_id": wanted.workspace_id, **wanted.query}
    if "Last-Event-ID" in wanted.headers:
        payload["from"] = wanted.headers["Last-Event-ID"]
    return request("events.subscribe", payload, request_id=SUBSCRIPTION)


def request(type_: str, payload: Mapping[str, object], *, request_id: str | None = None) -> bytes:
    """A frame of a client."""
    named = {} if request_id is None else {"request_id": request_id}
    return encode({**named, "type": type_, "schema_version": 1, "payload": payload})


@asynccontextmanager
async def _over_http(socket: Path, wanted: Subscription) -> AsyncGenerator[Opened]:
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=4_096)
    http = h11.Connection(h11.CLIENT)
    query = urlencode({"workspace_id": wanted.workspace_id, **wanted.query})
    head = h11.Request(
        method="GET",
        target=f"{STREAMS[wanted.transport]}?{query}",
        headers=[("Host", "x"), ("Authorization", f"Bearer {wanted.token}"), *wanted.headers.items()],
    )
    writer.write((http.send(head) or b"") + (http.send(h11.EndOfMessage()) or b""))
    try:
        yield OverHttp(wanted.transport, reader, http)
    finally:
        writer.close()
