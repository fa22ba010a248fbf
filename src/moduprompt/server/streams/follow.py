"""A subscription as a body that goes on: events, positions, and a clean end that says why."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Protocol

from moduprompt.kernel.feed import Found
from moduprompt.protocol.framing import ndjson, sse


class Framing(Protocol):
    """One technique of cutting a stream into frames."""

    media_type: str

    def event_bytes(self, seq: int, data: bytes) -> bytes:
        """One event."""
        ...

    def position_bytes(self, seq: int) -> bytes:
        """How far the stream has looked."""
        ...

    def end_bytes(self, reason: str) -> bytes:
        """The clean end."""
        ...


class _Sse:
    media_type = "text/event-stream"
    event_bytes = staticmethod(sse.event_bytes)
    position_bytes = staticmethod(sse.position_bytes)
    end_bytes = staticmethod(sse.end_bytes)


class _Ndjson:
    media_type = "application/x-ndjson"
    event_bytes = staticmethod(ndjson.event_bytes)
    position_bytes = staticmethod(ndjson.position_bytes)
    end_bytes = staticmethod(ndjson.end_bytes)


SSE: Final[Framing] = _Sse()
NDJSON: Final[Framing] = _Ndjson()


async def follow(
    steps: AsyncGenerator[Found], framing: Framing, *, end_reason: Callable[[], str]
) -> AsyncGenerator[bytes]:
    """The bytes of a subscription. A step is sent whole before the next one is read."""
    async with aclosing(steps):
        async for found in steps:
            frames = [framing.event_bytes(each.seq, each.data) for each in found.events]
            if not found.events or found.events[-1].seq < found.looked_to:
                frames.append(framing.position_bytes(found.looked_to))
            yield b"".join(frames)
    yield framing.end_bytes(end_reason())
