"""Requests to whoever is the daemon now: few connections, time limits, another try where one helps.

Everything that is sent here may be sent twice: reads change nothing, and commands carry
a key. So a lost connection and `unavailable` are answered by trying again, for as long
as the patience lasts; the `reconnect` hook says where, and may start a new daemon.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Final, Literal, TypeAlias

import msgspec

from moduprompt.client._connection import Connection, Head, Request, open_connection
from moduprompt.client._endpoint import Endpoint
from moduprompt.client._errors import Unreachable

IDLE_MAX: Final = 4  # kept open between requests; one is the rule, some for programs that ask at once
BODY_BYTES_MAX: Final = 256 * 1024 * 1024  # a page of the largest events, an artifact; never the whole memory
FIRST_PAUSE_S: Final = 0.05  # before the second try; doubled each time
LAST_PAUSE_S: Final = 1.0  # a daemon that starts is found within it
UNAUTHORIZED: Final = 401
RETRY_AFTER_MAX_S: Final = 5.0  # longer than any reason of ours to be unavailable

Loss: TypeAlias = Literal["cut", "drained", "replaced"]
"""How a daemon went: without a word, by saying that it ends, or so that another answers who knows no token of ours."""
Reconnect: TypeAlias = Callable[[Loss], Awaitable[Endpoint | None]]
"""Where the daemon is now; None where that is not known yet. What it raises ends the request."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for what, in seconds."""

    connect_s: float = 5.0
    answer_s: float = 60.0  # the daemon answers reads within 5 s, and commands when the disk has them
    silence_s: float = 45.0  # a stream says something every 15 s, so three times nothing is an end
    patience_s: float = 20.0  # with one request, all its tries together: a restart and its look at the log


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Patience:
    """How long one keeps trying: pauses that grow, and an end."""

    def __init__(self, patience_s: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._patience_s = patience_s
        self.renew()

    def renew(self) -> None:
        """It worked: begin anew."""
        self._ends = self._clock() + self._patience_s
        self._pause_s = FIRST_PAUSE_S

    async def pause(self, lost: Unreachable) -> None:
        """Wait before the next try. Raises `lost` at the end of the patience."""
        if not await self.has_waited(self._pause_s):
            raise lost
        self._pause_s = min(LAST_PAUSE_S, self._pause_s * 2)

    async def has_waited(self, pause_s: float) -> bool:
        """Wait that long; False, at once, where the patience would not last."""
        if self._clock() + pause_s > self._ends:
            return False
        await asyncio.sleep(pause_s)
        return True


class Channel:
    """Belongs to one event loop. Close it; closing twice is fine."""

    def __init__(self, endpoint: Endpoint, *, reconnect: Reconnect | None, limits: Limits) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self._reconnect = reconnect
        self._idle: list[Connection] = []
        self._moving = asyncio.Lock()

    async def ask(self, request: Request) -> Reply:
        """The answer, after as many tries as the patience allows. Raises Unreachable, AnswerBroken."""
        patience = Patience(self.limits.patience_s)
        while True:
            asked = self.endpoint
            try:
                reply = await self.ask_once(request)
            except Unreachable as lost:
                await patience.pause(lost)
                await self.move("cut", away_from=asked)
                continue
            if reply.status == UNAUTHORIZED and await self._has_successor(asked):
                continue
            if reply.status != 503 or not await patience.has_waited(_retry_after(reply)):
                return reply

    async def ask_once(self, request: Request) -> Reply:
        """One try, on a kept connection where one is open; a kept one that turns out closed is no try."""
        while self._idle:
            kept = self._idle.pop()
            try:
                return await self._exchange(kept, request)
            except Unreachable:
                continue
        return await self.ask_afresh(request)

    async def ask_afresh(self, request: Request) -> Reply:
        """One try on a fresh connection: the request is sent once and no more."""
        connection = await open_connection(self.endpoint, timeout_s=self.limits.connect_s)
        return await self._exchange(connection, request)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[tuple[Head, AsyncIterator[bytes]]]:
        """An answer that is read as it comes, on a connection of its own. One try with each daemon."""
        connection, head = await self._begun(request)
        try:
            yield head, _lively(connection, silence_s=self.limits.silence_s)
        finally:
            connection.close()

    async def move(self, loss: Loss, *, away_from: Endpoint) -> None:
        """Look for the daemon again, once for all who saw the same one go."""
        async with self._moving:
            if self._reconnect is None or self.endpoint is not away_from:
                return
            found = await self._reconnect(loss)
            if found is not None:
                self.endpoint = found
                self._let_go()

    async def close(self) -> None:
        """Close what is kept."""
        self._let_go()
        await asyncio.sleep(0)  # the transports close in the loop's next turn

    async def _begun(self, request: Request) -> tuple[Connection, Head]:
        while True:
            asked = self.endpoint
            connection = await open_connection(asked, timeout_s=self.limits.connect_s)
            with ExitStack() as undo:
                undo.callback(connection.close)
                async with _limit(self.limits.answer_s):
                    head = await connection.begin(request, endpoint=asked)
                if head.status != UNAUTHORIZED or not await self._has_successor(asked):
                    undo.pop_all()
                    return connection, head

    async def _has_successor(self, asked: Endpoint) -> bool:
        """Whether the daemon that refused our token is another than we knew, and we know its token by now."""
        await self.move("replaced", away_from=asked)
        return self.endpoint.token != asked.token

    async def _exchange(self, connection: Connection, request: Request) -> Reply:
        is_kept = False
        try:
            async with _limit(self.limits.answer_s):
                head = await connection.begin(request, endpoint=self.endpoint)
                body = await connection.body(BODY_BYTES_MAX)
            is_kept = len(self._idle) < IDLE_MAX and connection.is_reusable()
        finally:
            if is_kept:
                self._idle.append(connection)
            else:
                connection.close()
        return Reply(status=head.status, headers=head.headers, body=body)

    def _let_go(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()


async def _lively(connection: Connection, *, silence_s: float) -> AsyncGenerator[bytes]:
    pieces = connection.pieces()
    while True:
        async with _limit(silence_s):
            piece = await anext(pieces, None)
        if piece is None:
            return
        yield piece


@asynccontextmanager
async def _limit(seconds: float) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as fault:
        raise Unreachable(f"the daemon said nothing for {seconds:g} s") from fault


def _retry_after(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "")
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        return FIRST_PAUSE_S
    return min(RETRY_AFTER_MAX_S, float(text))
