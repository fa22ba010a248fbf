"""One connection: what it may send, how long it may take, and when it is cut off.

    connect ──head within HEAD_S──▶ body, a piece at least every BODY_S ──▶ answer, read at least every STALL_S
       └── over CONNECTIONS_MAX: `unavailable`, and the end

A client that dawdles over its request, or does not read its answer, holds a connection and a buffer; both
are taken back. A stream is read at its reader's pace, as long as it is read at all: whoever is cut off takes
it up where it was. A request that comes in one piece sets no timer.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from uvicorn.server import ServerState
from wsproto.connection import ConnectionState

from moduprompt.kernel.meters import Meters
from moduprompt.protocol import HTTP_STATUS, Rejection, encode, misfit, overloaded, retry_after_s, to_error
from moduprompt.server.wire import named

HEAD_BYTES_MAX: Final = 64 * 1024  # request line and headers, ours have a few hundred bytes; trailers too
HEAD_S: Final = 10.0  # ours send a head in one piece; a slow link needs a second
BODY_S: Final = 30.0  # without one further byte of a body; a bundle comes from a disk that may sleep
STALL_S: Final = 60.0  # without one byte taken; a reader that thinks for so long can come again
CONNECTIONS_MAX: Final = 4_096  # a thousand watchers, each agent and its tools, with room
CONNECTIONS_OF_RUN_MAX: Final = 64  # an agent and what it starts; a loop must not take what the others need
REFUSED_MAX: Final = 64  # beyond a bound so many are told why, at a time; the others are hung up on
REFUSED_S: Final = 1.0  # for whoever is refused to send the request that the refusal answers


class Turnstile:
    """Counts the connections of a door, and those of all doors together."""

    def __init__(self, meters: Meters, *, whole: "Turnstile | None" = None, name: str, most: int) -> None:
        self.meters = meters
        self.inside = 0
        self.most = most
        self._name = name
        self._whole = whole

    def enter(self) -> Rejection | None:
        """One more; a refusal where there is no room. Whoever enters leaves, refused or not."""
        self.inside += 1
        above = self._whole.enter() if self._whole is not None else None
        if above is not None or self.inside <= self.most:
            return above
        return overloaded(
            self._name,
            f"there are {self.most} connections already",
            hint="close some, or use one for several subscriptions: GET /v1/events/ws",
        )

    def leave(self) -> None:
        """One less."""
        self.inside -= 1
        if self._whole is not None:
            self._whole.leave()

    def is_crowded(self) -> bool:
        """Whether even those who are being refused are too many."""
        return self.inside > self.most + REFUSED_MAX or (self._whole is not None and self._whole.is_crowded())


class StallWatch:
    """Cuts a connection off whose peer takes nothing for STALL_S while something is there for it."""

    def __init__(self, transport: asyncio.Transport, *, meters: Meters) -> None:
        self._transport = transport
        self._meters = meters
        self._timer: asyncio.TimerHandle | None = None
        self._is_waiting = False
        self._left = 0

    def wait(self) -> None:
        """The buffer is full."""
        self._is_waiting = True
        self._left = self._transport.get_write_buffer_size()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(STALL_S, self._look)

    def go_on(self) -> None:
        """There is room again, so something was taken."""
        self._is_waiting = False

    def end(self) -> None:
        """The connection is gone."""
        self._is_waiting = False
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if not self._is_waiting:
            return
        if self._transport.get_write_buffer_size() >= self._left:
            self._meters.refused["reader_stall"] += 1
            self._transport.abort()
        else:
            self.wait()


class _Attended(asyncio.Protocol):
    """What holds of a connection whatever it speaks: whoever stalls is cut off, and its end is told to who asked.

    Stands before the protocol proper among the bases of one.
    """

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self.is_gone = False
        self._stall: StallWatch | None = None
        self._rings: set[Callable[[], None]] = set()

    def listen(self, ring: Callable[[], None]) -> None:
        """Ring when it is gone."""
        self._rings.add(ring)

    def unlisten(self, ring: Callable[[], None]) -> None:
        """No longer."""
        self._rings.discard(ring)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Somebody has connected, or HTTP becomes a socket."""
        super().connection_made(transport)
        self._stall = StallWatch(transport, meters=self._meters)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, whoever ended it."""
        super().connection_lost(exc)
        if self._stall is not None:
            self._stall.end()
        self.is_gone = True
        for ring in list(self._rings):
            ring()

    def pause_writing(self) -> None:
        """The peer does not read."""
        super().pause_writing()
        if self._stall is not None:
            self._stall.wait()

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.go_on()


class _Shaken:
    """In the place of a handshake that is over: what made it (a parser of HTTP, its buffers) is let go."""

    state: Final = ConnectionState.OPEN

    def events(self) -> tuple[()]:
        """None any more."""
        return ()


SHAKEN: Final = _Shaken()


class Socket(_Attended, WSProtocol):
    """Leaves the end of an open socket to the application, which says why, and says when it is gone."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, object],
        *,
        lost: Callable[[], None],
        meters: Meters,
    ) -> None:
        WSProtocol.__init__(self, config, server_state, named(app_state, self))
        _Attended.__init__(self, meters)
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, whoever ended it."""
        super().connection_lost(exc)
        self._lost()

    def start_keepalive(self) -> None:
        """The socket is open, and what opened it is not needed any more."""
        self.conn.handshake = SHAKEN  # type: ignore[assignment]  # all of it that an open connection asks for
        super().start_keepalive()

    @property
    def is_full(self) -> bool:
        """Whether the peer does not keep up."""
        return not self.writable.is_set()

    def write(self, data: bytes) -> None:
        """Whole messages: between two of them wsproto keeps nothing that they could upset."""
        if not (self.close_sent or self.transport.is_closing()):
            self.transport.write(data)

    async def drained(self) -> None:
        """It takes more, or is gone."""
        await self.writable.wait()

    def shutdown(self) -> None:
        """The daemon ends: an open socket is ended by the application, or cut off like every other connection."""
        if not self.handshake_complete:
            super().shutdown()


class Connection(_Attended, HttpToolsProtocol):
    """Bounds what a request may hold and how long it may take, and refuses broken HTTP as everything else."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, object],
        *,
        lost: Callable[[], None],
        turnstile: Turnstile,
    ) -> None:
        HttpToolsProtocol.__init__(self, config, server_state, named(app_state, self))
        _Attended.__init__(self, turnstile.meters)
        self._turnstile = turnstile
        self._no_entry: Rejection | None = None
        self._is_in_head, self._is_in_body = True, False
        self._kept_bytes = 0
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last: RequestResponseCycle | None = None
        # Nothing of this object is in it: a socket that is open for days must not keep the HTTP before it alive.
        self._left = partial(_leave, turnstile, lost)
        self.ws_protocol_class = partial(Socket, lost=self._left, meters=self._meters)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Somebody has connected."""
        super().connection_made(transport)
        self._no_entry = self._turnstile.enter()
        if self._no_entry is None:
            self._wait(HEAD_S)
        elif self._turnstile.is_crowded():
            self._count(self._no_entry)
            transport.abort()
        else:
            self._wait(REFUSED_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, whoever ended it."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._unset()
        self._left()

    @property
    def is_full(self) -> bool:
        """Whether the peer does not keep up."""
        return self.flow.write_paused

    def write(self, data: bytes) -> None:
        """Whole chunks of the body that is being sent."""
        if not self.transport.is_closing():
            self.transport.write(data)

    async def drained(self) -> None:
        """It takes more, or is gone."""
        await self.flow.drain()

    def data_received(self, data: bytes) -> None:
        """The parser keeps a header until it is whole, so what it keeps is counted here."""
        if self._no_entry is not None:
            self._refuse(self._no_entry)
            return
        self._kept_bytes += len(data)
        super().data_received(data)
        if self not in self.connections:  # a socket now, which takes its leave itself; or ended
            self._unset()
            return
        if self.transport.is_closing():
            return
        if self._kept_bytes > HEAD_BYTES_MAX:
            self._refuse(_too_long())
        elif self._is_in_head and self._kept_bytes > 0:
            self._due = self._due or self.loop.time() + HEAD_S
            self._watch()
        elif self._is_in_body:
            self._wait(BODY_S)
        else:
            self._due = None

    def on_headers_complete(self) -> None:
        """The head is over."""
        self._is_in_head, self._is_in_body, self._kept_bytes, self._due = False, True, 0, None
        super().on_headers_complete()
        self._last = self.cycle

    def on_body(self, body: bytes) -> None:
        """A piece of the body, which the parser does not keep."""
        self._kept_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is over."""
        self._is_in_head, self._is_in_body, self._kept_bytes, self._due = True, False, 0, None
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more was asked; what was answered and never read is dropped with it."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP that we take; then the connection ends."""
        self._refuse(misfit("", msg, hint="speak HTTP/1.1, with less than 64 KiB of headers"))

    def _unset(self) -> None:
        """No timer of this protocol rings any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._due = None

    def _wait(self, seconds: float) -> None:
        self._due = self.loop.time() + seconds
        self._watch()

    def _watch(self) -> None:
        """One timer a connection, set again when it has rung and not whenever a byte comes."""
        if self._timer is None and self._due is not None:
            self._timer = self.loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due is None or self.transport.is_closing():
            return
        is_answering = self._last is not None and not self._last.response_complete
        if self.flow.read_paused or (self._is_in_head and is_answering):  # it is us who it waits for
            self._due = self.loop.time() + BODY_S
        if self.loop.time() < self._due:
            self._watch()
        elif self._no_entry is not None:
            self._refuse(self._no_entry)
        else:
            self._refuse(
                _too_slow("body_time", BODY_S) if self._is_in_body else _too_slow("head_time", HEAD_S)
            )

    def _refuse(self, rejection: Rejection) -> None:
        """Say why, if nothing was said yet; then the connection ends."""
        self._count(rejection)
        last = self._last
        if last is None or not last.response_started or (self._is_in_head and last.response_complete):
            body = encode(to_error(rejection))
            head = f"HTTP/1.1 {HTTP_STATUS[rejection.code]} \r\ncontent-type: application/json\r\nconnection: close\r\n"
            if (seconds := retry_after_s(rejection.details)) is not None:
                head += f"retry-after: {seconds}\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _count(self, rejection: Rejection) -> None:
        limit = (rejection.details or {}).get("limit")
        if isinstance(limit, str):
            self._meters.refused[limit] += 1


def _leave(turnstile: Turnstile, lost: Callable[[], None]) -> None:
    """Called once for a connection: by its first protocol, or by the one that took it over."""
    turnstile.leave()
    lost()


def _too_long() -> Rejection:
    return misfit(
        "",
        "the request is too long",
        hint="speak HTTP/1.1, with less than 64 KiB of headers",
        limit="head_bytes",
    )


def _too_slow(limit: str, seconds: float) -> Rejection:
    return overloaded(
        limit,
        f"the request did not come within {seconds:g} s",
        hint="send it at once, on a connection of its own",
    )
