"""A subscription as an answer that goes on: events, positions, and a clean end that says why.

A frame is made once for each technique and shared by all who read it so (`Served.framed`): what is
written to a thousand connections is the same bytes object.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Protocol

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from moduprompt.kernel.bell import Bell
from moduprompt.kernel.feed import Found, Make
from moduprompt.protocol.framing import ndjson, sse
from moduprompt.server.wire import Wire


class Framing(msgspec.Struct, frozen=True, kw_only=True):
    """One technique of cutting a stream into frames, each of them a chunk of an HTTP answer.

    There is one value of each: `event` is what a shared frame is known by.
    """

    media_type: str
    event: Make
    position: Callable[[int], bytes]
    end: Callable[[str], bytes]


def _chunk(data: bytes) -> bytes:
    """RFC 9112, section 7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


SSE: Final = Framing(
    media_type="text/event-stream",
    event=lambda seq, data: _chunk(sse.event_bytes(seq, data)),
    position=lambda seq: _chunk(sse.position_bytes(seq)),
    end=lambda reason: _chunk(sse.end_bytes(reason)),
)
NDJSON: Final = Framing(
    media_type="application/x-ndjson",
    event=lambda seq, data: _chunk(ndjson.event_bytes(seq, data)),
    position=lambda seq: _chunk(ndjson.position_bytes(seq)),
    end=lambda reason: _chunk(ndjson.end_bytes(reason)),
)


class Outlet(Protocol):
    """Where a subscription goes: frames of one kind on one connection."""

    @property
    def wire(self) -> Wire:
        """The connection."""
        ...

    def found_bytes(self, found: Found) -> bytes:
        """One step: its events, and how far it has looked where that is further."""
        ...

    def end_bytes(self, reason: str) -> bytes:
        """The clean end."""
        ...


class Body:
    """The body of an HTTP answer."""

    def __init__(self, wire: Wire, framing: Framing) -> None:
        self.wire = wire
        self._framing = framing

    def found_bytes(self, found: Found) -> bytes:
        """Chunks."""
        frames = [each.framed(self._framing.event) for each in found.events]
        if not found.events or found.events[-1].seq < found.looked_to:
            frames.append(self._framing.position(found.looked_to))
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def end_bytes(self, reason: str) -> bytes:
        """The last chunk but the empty one."""
        return self._framing.end(reason)


class Stream(Response):
    """The answer to who subscribes. A step is handed over whole before the next one is read."""

    def __init__(
        self,
        steps: AsyncGenerator[Found],
        outlet: Outlet,
        *,
        media_type: str,
        bell: Bell,
        end_reason: Callable[[], str],
        left: Callable[[], None],
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers, media_type=media_type)
        # Without a length the server announces chunks, which is how the frames are made.
        del self.headers["content-length"]
        self._steps = steps
        self._outlet = outlet
        self._bell = bell
        self._end_reason = end_reason
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        """Until it ends, or the reader is gone; then its seat is free, whether a byte was sent or not."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                await self._pour()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._left()

    async def _pour(self) -> None:
        wire = self._outlet.wire
        wire.listen(self._bell.ring)
        try:
            async with aclosing(self._steps):
                async for found in self._steps:
                    while wire.is_full:  # by another subscription of the same socket
                        await wire.drained()
                    wire.write(self._outlet.found_bytes(found))
                    if wire.is_full:
                        await wire.drained()
            wire.write(self._outlet.end_bytes(self._end_reason()))
        finally:
            wire.unlisten(self._bell.ring)
