"""One HTTP/1.1 connection (RFC 9112), by h11: one exchange at a time, every read bounded.

The whole request is handed to the transport before the answer is read, so an answer that
comes before the daemon has taken all of a body (it is too large) is still seen.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Final

import h11
import msgspec

from moduprompt.client._endpoint import CHUNK_BYTES, Endpoint
from moduprompt.client._errors import AnswerBroken, Unreachable

FILE_CHUNK_BYTES: Final = 256 * 1024  # of a body that is a file
HEAD_BYTES_MAX: Final = 32 * 1024  # status line and headers; ours have a few hundred bytes


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. `target` is path and query, encoded. A body may be a file, which is sent piece by piece."""

    target: str
    method: str = "GET"
    body: bytes | Path = b""
    headers: Mapping[str, str] = {}


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer begins. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]


class Connection:
    """Open it with `open_connection`; close it when done. Raises Unreachable and AnswerBroken."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)

    async def begin(self, request: Request, *, endpoint: Endpoint) -> Head:
        """Send a request and read how its answer begins."""
        headers = {
            "Host": endpoint.host,
            "Authorization": f"Bearer {endpoint.token}",
            "Content-Length": str(_size(request.body)),
            **request.headers,
        }
        try:
            head = h11.Request(method=request.method, target=request.target, headers=list(headers.items()))
        except h11.LocalProtocolError as fault:  # a token or a target that can't stand in HTTP
            raise AnswerBroken(f"the request can't be sent: {fault}") from fault
        parts = [self._http.send(head)]
        if isinstance(request.body, Path):
            self._writer.write(b"".join(part for part in parts if part))
            parts = []
            await self._send_file(request.body)
        elif request.body:
            parts.append(self._http.send(h11.Data(data=request.body)))
        if self._http.our_state is h11.SEND_BODY:
            parts.append(self._http.send(h11.EndOfMessage()))
        self._writer.write(b"".join(part for part in parts if part))
        event = await self._next()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next()
        if not isinstance(event, h11.Response):
            raise AnswerBroken("the answer does not begin with a status line")
        return Head(
            status=event.status_code,
            headers={
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event.headers
            },
        )

    async def _send_file(self, path: Path) -> None:
        """As far as the daemon takes it: one that refuses early has said why."""
        with path.open("rb") as file:
            while data := await asyncio.to_thread(file.read, FILE_CHUNK_BYTES):
                self._writer.write(self._http.send(h11.Data(data=data)) or b"")
                try:
                    await self._writer.drain()
                except OSError:
                    self._http.send_failed()
                    return

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body as it comes."""
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise AnswerBroken("the answer ended where its body should go on")
            yield bytes(event.data)

    async def body(self, bytes_max: int) -> bytes:
        """The whole body. Raises AnswerBroken where it is longer than the bound."""
        taken = bytearray()
        async for piece in self.pieces():
            taken += piece
            if len(taken) > bytes_max:
                raise AnswerBroken(f"the answer has more than {bytes_max} bytes")
        return bytes(taken)

    def is_reusable(self) -> bool:
        """Whether another exchange can follow; makes it ready for that."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        if self._http.trailing_data[0] or self.is_stale():
            return False
        self._http.start_next_cycle()
        return True

    def is_stale(self) -> bool:
        """Whether the daemon has closed its end."""
        return self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        """Let go, without waiting; closing twice is fine."""
        self._writer.close()

    async def _next(self) -> h11.Event:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as fault:
                if self._reader.at_eof():
                    raise Unreachable(
                        "the daemon closed the connection in the middle of an answer"
                    ) from fault
                raise AnswerBroken(f"the answer is no HTTP: {fault}") from fault
            if isinstance(event, h11.ConnectionClosed):
                raise Unreachable("the daemon closed the connection without an answer")
            if event is h11.PAUSED:
                raise AnswerBroken("the daemon sent more than was asked for")
            if isinstance(event, h11.Event):
                return event
            self._http.receive_data(await self._receive())

    async def _receive(self) -> bytes:
        try:
            return await self._reader.read(CHUNK_BYTES)
        except OSError as fault:
            raise Unreachable(f"the connection to the daemon broke: {fault}") from fault


def _size(body: bytes | Path) -> int:
    return len(body) if isinstance(body, bytes) else body.stat().st_size


async def open_connection(endpoint: Endpoint, *, timeout_s: float) -> Connection:
    """A fresh connection. Raises Unreachable."""
    reader, writer = await endpoint.connect(timeout_s)
    return Connection(reader, writer)
