"""Many subscriptions of one daemon: what an event costs is paid once."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from moduprompt.protocol import WorkspaceId
from moduprompt.protocol.framing import ndjson, sse
from moduprompt.server.streams import frames
from tests.support.deadline import HANG_S
from tests.support.served import TOKEN, Served
from tests.support.streams import AnyTransport, Subscription, follow

READERS, EVENTS = 20, 3


class Counter:
    """Counts the calls of an encoder, per event."""

    def __init__(self, whole: Callable[[int, bytes], bytes]) -> None:
        self._whole = whole
        self.asked: list[int] = []

    def __call__(self, seq: int, data: bytes) -> bytes:
        self.asked.append(seq)
        return self._whole(seq, data)


@pytest.mark.parametrize(
    ("transport", "module", "encoder"),
    [("sse", sse, "event_bytes"), ("ndjson", ndjson, "event_bytes"), ("ws", frames, "pushed_tail")],
)
async def test_an_event_is_encoded_once_for_all_who_follow(
    daemon: Served,
    monkeypatch: pytest.MonkeyPatch,
    transport: AnyTransport,
    module: object,
    encoder: str,
) -> None:
    counter = Counter(getattr(module, encoder))
    monkeypatch.setattr(module, encoder, counter)
    workspace = await daemon.make_workspace()
    wanted = Subscription(transport=transport, workspace_id=workspace)
    async with AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(follow(daemon.socket, wanted)) for _ in range(READERS)]
        for _ in range(EVENTS - 1):
            await daemon.make_project(workspace)
        seen = [await stream.events(EVENTS) for stream in streams]

    assert seen == [[1, 2, 3]] * READERS
    assert sorted(counter.asked) == [1, 2, 3]


async def answered(daemon: Served, method: str, workspace: WorkspaceId) -> bytes:
    """A request for a stream, and a ping behind it on the same connection."""
    reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
    head = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(
        f"{method} /v1/events/stream?workspace_id={workspace} HTTP/1.1\r\n{head}\r\n"
        f"GET /v1/daemon/ping HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode()
    )
    try:
        async with asyncio.timeout(HANG_S):
            return await reader.read()
    finally:
        writer.close()


async def test_the_head_of_a_stream_has_no_body(daemon: Served) -> None:
    said = await answered(daemon, "HEAD", await daemon.make_workspace())

    first, _, rest = said.partition(b"\r\n\r\n")
    assert b" 200 " in first.splitlines()[0]
    assert b"text/event-stream" in first
    assert rest.startswith(b"HTTP/1.1 200 ")
