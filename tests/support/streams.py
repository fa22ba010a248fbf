"""A stream of events as a client reads it: one connection, its bytes cut into frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import h11
import msgspec

from moduprompt.client import Transport
from moduprompt.protocol import WorkspaceId, decode_event
from moduprompt.protocol.framing.frames import End, EventFrame, Frame, Position
from moduprompt.protocol.framing.ndjson import NdjsonReader
from moduprompt.protocol.framing.sse import SseReader
from tests.support.served import TOKEN

PATHS: Final[Mapping[Transport, str]] = {"sse": "/v1/events/stream", "ndjson": "/v1/events/stream-ndjson"}
PATIENCE_S: Final = 10.0


class Opened:
    """A stream that is being read."""

    def __init__(self, transport: Transport, reader: asyncio.StreamReader, http: h11.Connection) -> None:
        self._reader = reader
        self._http = http
        self._cut = SseReader() if transport == "sse" else NdjsonReader()
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


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    transport: Transport
    workspace_id: WorkspaceId
    query: Mapping[str, str | int] = {}
    token: str = TOKEN
    headers: Mapping[str, str] = {}


@asynccontextmanager
async def follow(socket: Path, wanted: Subscription) -> AsyncGenerator[Opened]:
    """A stream on a connection of its own."""
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=4_096)
    http = h11.Connection(h11.CLIENT)
    query = urlencode({"workspace_id": wanted.workspace_id, **wanted.query})
    head = h11.Request(
        method="GET",
        target=f"{PATHS[wanted.transport]}?{query}",
        headers=[("Host", "x"), ("Authorization", f"Bearer {wanted.token}"), *wanted.headers.items()],
    )
    writer.write((http.send(head) or b"") + (http.send(h11.EndOfMessage()) or b""))
    opened = Opened(wanted.transport, reader, http)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await opened.begin()
        yield opened
    finally:
        writer.close()
