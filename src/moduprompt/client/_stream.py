"""A workspace's events as one endless, gapless, ordered stream over daemons that come and go.

The cursor is the last sequence that was yielded, or that a daemon said it has looked to.
After a loss the stream goes on behind it; what comes twice is passed over.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final, Literal, TypeAlias
from urllib.parse import urlencode

import msgspec

from moduprompt.client._answers import read_refusal
from moduprompt.client._channel import Channel, Loss, Patience
from moduprompt.client._connection import Request
from moduprompt.client._errors import AnswerBroken, ClientError, Unreachable
from moduprompt.protocol import Subject, WorkspaceId
from moduprompt.protocol.framing.frames import End, EventFrame, Frame, StreamBroken
from moduprompt.protocol.framing.ndjson import NdjsonReader
from moduprompt.protocol.framing.sse import SseReader

Transport: TypeAlias = Literal["sse", "ndjson"]

PATHS: Final[dict[Transport, str]] = {"sse": "/v1/events/stream", "ndjson": "/v1/events/stream-ndjson"}
READERS: Final[dict[Transport, Callable[[], SseReader | NdjsonReader]]] = {
    "sse": SseReader,
    "ndjson": NdjsonReader,
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events, and how they travel. Each of `types` may end in `*`."""

    workspace_id: WorkspaceId
    types: tuple[str, ...] = ()
    project_id: str | None = None
    subject: Subject | None = None
    transport: Transport = "sse"

    def filters(self) -> dict[str, str]:
        """The query parameters that say which events; pages of the log take the same ones."""
        query: dict[str, str] = {}
        if self.types:
            query["types"] = ",".join(self.types)
        if self.project_id is not None:
            query["project_id"] = self.project_id
        if self.subject is not None:
            query["subject"] = f"{self.subject.kind}:{self.subject.id}"
        return query

    def request(self, cursor: int) -> Request:
        """The request that goes on behind a cursor."""
        query = {"workspace_id": str(self.workspace_id), "from": str(cursor), **self.filters()}
        return Request(target=f"{PATHS[self.transport]}?{urlencode(query)}")


async def follow(channel: Channel, wanted: Wanted, *, after: int) -> AsyncGenerator[EventFrame]:
    """The events behind `after`, for ever. Raises Unreachable when the patience is over."""
    patience = Patience(channel.limits.patience_s)
    cursor = after
    while True:
        asked = channel.endpoint
        loss: Loss = "cut"
        lost = Unreachable("the stream of events ended")
        try:
            async with aclosing(_frames(channel, wanted, after=cursor)) as frames:
                async for frame in frames:
                    patience.renew()
                    if isinstance(frame, End):
                        loss, lost = "drained", Unreachable(f"the daemon ended the stream: {frame.reason}")
                        break
                    if isinstance(frame, EventFrame) and frame.seq > cursor:
                        yield frame
                    cursor = max(cursor, frame.seq)
        except Unreachable as fault:
            lost = fault
        await patience.pause(lost)
        await channel.move(loss, away_from=asked)


async def _frames(channel: Channel, wanted: Wanted, *, after: int) -> AsyncGenerator[Frame]:
    """One daemon's part. Ends without a word where the daemon closes properly."""
    reader = READERS[wanted.transport]()
    async with channel.stream(wanted.request(after)) as (head, pieces):
        if head.status != 200:
            raise await _refusal(head.status, pieces)
        try:
            async for piece in pieces:
                for frame in reader.feed(piece):
                    yield frame
        except StreamBroken as fault:
            raise AnswerBroken(str(fault)) from fault


async def _refusal(status: int, pieces: AsyncIterator[bytes]) -> ClientError:
    refused = await read_refusal(status, pieces)
    return Unreachable(refused.error.message) if status == 503 else refused
