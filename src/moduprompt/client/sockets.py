"""A WebSocket to the daemon (RFC 6455), by wsproto: whole messages of text or bytes, each bounded.

Public like the package, and apart from it: whoever opens no socket does not wait for wsproto to load.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from moduprompt.client._answers import REFUSAL_BYTES_MAX, to_refusal
from moduprompt.client._endpoint import CHUNK_BYTES, Endpoint
from moduprompt.client._errors import AnswerBroken, Unreachable

__all__ = ["Socket", "open_socket"]

MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024  # the bound of every stream of events


class Socket:
    """Open it with `open_socket`. Raises Unreachable and AnswerBroken."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._events: Iterator[Event] = iter(())

    async def begin(self, target: str, endpoint: Endpoint) -> None:
        """The handshake. Raises RequestRefused."""
        headers = [(b"authorization", f"Bearer {endpoint.token}".encode())]
        self._writer.write(self._ws.send(Request(host=endpoint.host, target=target, extra_headers=headers)))
        status, body = 0, bytearray()
        while True:
            match await self._next():
                case AcceptConnection():
                    return
                case RejectConnection() as rejected:
                    status = rejected.status_code
                    if not rejected.has_body:
                        raise to_refusal(status, b"")
                case RejectData() as part:
                    body += part.data
                    if part.body_finished or len(body) > REFUSAL_BYTES_MAX:
                        raise to_refusal(status, bytes(body))
                case _:
                    raise AnswerBroken("the answer to the handshake is none")

    async def send(self, text: bytes) -> None:
        """One message; waits while the daemon takes no more."""
        await self._write(TextMessage(data=text.decode()))

    async def send_bytes(self, data: bytes) -> None:
        """One message of bytes; waits while the daemon takes no more."""
        await self._write(BytesMessage(data=data))

    async def receive(self) -> bytes | None:
        """The next message of text; None when the daemon has closed the socket properly."""
        message = await self.receive_any()
        if isinstance(message, bytes):
            raise AnswerBroken("the daemon sent bytes where text is spoken")
        return None if message is None else message.encode()

    async def receive_any(self) -> bytes | str | None:
        """The next message, text or bytes; None when the daemon has closed the socket properly."""
        pieces: list[bytes] = []
        size = 0
        while True:
            match await self._next():
                case TextMessage() | BytesMessage() as part:
                    is_text = isinstance(part, TextMessage)
                    pieces.append(part.data.encode() if isinstance(part, TextMessage) else bytes(part.data))
                    size += len(pieces[-1])
                    if size > MESSAGE_BYTES_MAX:
                        raise AnswerBroken(f"a message has more than {MESSAGE_BYTES_MAX} bytes")
                    if part.message_finished:
                        whole = b"".join(pieces)
                        return whole.decode() if is_text else whole
                case Ping() as ping:
                    self._writer.write(self._ws.send(ping.response()))
                case CloseConnection():
                    return None
                case _:
                    pass

    async def _write(self, event: TextMessage | BytesMessage) -> None:
        try:
            self._writer.write(self._ws.send(event))
            await self._writer.drain()
        except (OSError, LocalProtocolError) as fault:
            raise Unreachable(f"the connection to the daemon broke: {fault}") from fault

    def close(self) -> None:
        """Let go, without waiting; closing twice is fine."""
        self._writer.close()

    async def _next(self) -> Event:
        while True:
            for event in self._events:
                return event
            try:
                data = await self._reader.read(CHUNK_BYTES)
                if not data:
                    raise Unreachable("the daemon closed the connection without a word")
                self._ws.receive_data(data)
            except OSError as fault:
                raise Unreachable(f"the connection to the daemon broke: {fault}") from fault
            except RemoteProtocolError as fault:
                raise AnswerBroken(f"the answer is no WebSocket: {fault}") from fault
            self._events = iter(list(self._ws.events()))


async def open_socket(endpoint: Endpoint, target: str, *, timeout_s: float) -> Socket:
    """A fresh socket. Raises Unreachable, RequestRefused or AnswerBroken."""
    reader, writer = await endpoint.connect(timeout_s)
    socket = Socket(reader, writer)
    with ExitStack() as undo:
        undo.callback(socket.close)
        try:
            async with asyncio.timeout(timeout_s):
                await socket.begin(target, endpoint)
        except TimeoutError as fault:
            raise Unreachable(f"the daemon said nothing for {timeout_s:g} s") from fault
        undo.pop_all()
    return socket
