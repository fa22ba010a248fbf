"""A tiny HTTP server that does exactly what a test tells it, bytes included.

Each connection is handed to the test's own coroutine, so it can answer, be slow, cut the
connection in the middle, or speak no HTTP at all.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from tests.support.deadline import HANG_S

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Peer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> tuple[str, bytes]:
        """The next request: its first line and its body. Raises IncompleteReadError at the end."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        return head.split(b"\r\n", 1)[0].decode(), body

    async def head(self) -> str:
        """The next request's whole head; its body is left unread."""
        return (await self._reader.readuntil(b"\r\n\r\n")).decode()

    def write(self, data: bytes) -> None:
        """Bytes as they are."""
        self._writer.write(data)

    def answer(self, value: object, *, status: int = 200, headers: str = "") -> None:
        """A whole answer with a JSON body."""
        body = value if isinstance(value, bytes) else msgspec.json.encode(value)
        head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self.write(head.encode() + body)

    def begin_stream(self) -> None:
        """The head of a body that goes on until the connection ends."""
        self.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")

    async def gone(self) -> None:
        """Wait until the client has hung up."""
        while await self._reader.read(65536):
            pass

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


Serve = Callable[[Peer], Awaitable[None]]


class Server:
    """Counts its connections; what a connection's coroutine raised is raised at the end of the test."""

    def __init__(self, serve: Serve) -> None:
        self.serve = serve
        self.connections = 0
        self._open = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self._faults: list[BaseException] = []

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self._open += 1
        self._settled.clear()
        peer = Peer(reader, writer)
        try:
            await self.serve(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client hung up, as clients may
        except AssertionError as fault:
            self._faults.append(fault)
        finally:
            peer.close()
            self._open -= 1
            if not self._open:
                self._settled.set()

    async def idle(self) -> None:
        """Wait until every connection has ended."""
        async with asyncio.timeout(HANG_S):
            await self._settled.wait()

    def raise_faults(self) -> None:
        """What went wrong in a connection, in the test."""
        for fault in self._faults:
            raise fault


@asynccontextmanager
async def serving(path: Path, serve: Serve) -> AsyncGenerator[Server]:
    """A server on a Unix socket; it ends when its clients have hung up."""
    server = Server(serve)
    listener = await asyncio.start_unix_server(server.accept, path)
    async with _ending(listener, server):
        yield server


@asynccontextmanager
async def serving_tcp(serve: Serve) -> AsyncGenerator[str]:
    """The same on a free port of this machine; gives `host:port`."""
    server = Server(serve)
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0)
    async with _ending(listener, server):
        yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def _ending(listener: asyncio.Server, server: Server) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        listener.close()
        await server.idle()
        server.raise_faults()
