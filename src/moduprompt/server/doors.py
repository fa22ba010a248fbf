"""The sockets the daemon answers on, and the protocol that reads them.

Each socket is a door: an application behind it, and whose door it is. A Unix socket is
closed to other users before it listens. A stale one, left by a daemon that was killed,
is replaced: who holds the lock of its folder may do so.

uvicorn's protocol is used without its server: that one wakes ten times a second, and
knows one application for all its sockets.
"""

import asyncio
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from moduprompt.config import ConfigRefused
from moduprompt.kernel.meters import Meters
from moduprompt.protocol import RunId
from moduprompt.protocol.framing.stdio import FRAME_BYTES_MAX
from moduprompt.server import connection
from moduprompt.server.connection import Connection, Socket, Turnstile

BACKLOG: Final = 512  # fifty agents and their tools connecting at once after a restart
KEEP_ALIVE_S: Final = 75  # longer than a client's pause between two calls
DRAIN_S: Final = 5.0  # a request that takes longer, or a reader that does not read, is cut off at shutdown
DESCRIPTORS_KEPT: Final = 256  # for the log, the views, and a connection to each of many keepers
RUN_OF_DOOR: Final = "run_of_door"  # where a request's scope says whose door it came through


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at this path, for its owner only. Raises ConfigRefused."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listening.bind(str(path))
        path.chmod(0o600)  # nobody connects before it listens
        listening.listen(BACKLOG)
    except OSError as fault:
        listening.close()
        raise ConfigRefused(
            f"the socket {path} can't be made: {fault.strerror or fault}",
            path=str(path),
            hint="choose another folder with --runtime-dir",
        ) from fault
    listening.settimeout(0)
    return listening


def bind_loopback(listen: str) -> socket.socket:
    """A listening socket on 127.0.0.1. Raises ConfigRefused."""
    host, _, port = listen.rpartition(":")
    is_number = port.isascii() and port.isdigit() and len(port) <= 5
    if host not in ("127.0.0.1", "localhost", "[::1]") or not is_number or int(port) > 65_535:
        raise ConfigRefused(
            f"{listen} is no loopback address",
            path="listen",
            hint="use 127.0.0.1:PORT; the daemon does not listen on a network",
        )
    listening = socket.socket(socket.AF_INET6 if host == "[::1]" else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), int(port)))
        listening.listen(BACKLOG)
    except OSError as fault:
        listening.close()
        raise ConfigRefused(
            f"{listen} can't be bound: {fault.strerror or fault}", path="listen", hint="choose another port"
        ) from fault
    listening.settimeout(0)
    return listening


def connections_max() -> int:
    """As many as are wanted, or as the process may have files open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connection.CONNECTIONS_MAX
    return min(connection.CONNECTIONS_MAX, max(soft - DESCRIPTORS_KEPT, soft // 2))


class Porter:
    """Answers on every door until it is told to stop."""

    def __init__(self, meters: Meters) -> None:
        self.turnstile = Turnstile(meters, name="connections", most=connections_max())
        self._doors: set[Door] = set()

    async def open(self, listening: socket.socket, app: ASGIApp, *, run_id: RunId | None = None) -> "Door":
        """Begin to answer there. Through a run's door only that run's token is taken."""
        door = Door(app, run_id=run_id, turnstile=self._turnstile_of(run_id), closed=self._doors.discard)
        await door.open(listening)
        self._doors.add(door)
        return door

    async def stop(self) -> None:
        """Finish what is under way, take nothing more; stopping twice is fine."""
        await asyncio.gather(*(door.close() for door in list(self._doors)))

    def _turnstile_of(self, run_id: RunId | None) -> Turnstile:
        if run_id is None:
            return self.turnstile
        return Turnstile(
            self.turnstile.meters,
            whole=self.turnstile,
            name="connections_of_run",
            most=connection.CONNECTIONS_OF_RUN_MAX,
        )


class Door:
    """One listening socket and its connections."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        run_id: RunId | None,
        turnstile: Turnstile,
        closed: Callable[["Door"], None],
    ) -> None:
        self._config = uvicorn.Config(
            app,
            interface="asgi3",
            http=Connection,
            ws=Socket,
            ws_max_size=2 * FRAME_BYTES_MAX,  # so that what is somewhat too long is refused in words
            ws_ping_interval=None,  # a slow reader answers late, and is not disconnected for it
            ws_per_message_deflate=False,  # a small frame must not become a large one
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._config.load()
        self._scope_state: dict[str, object] = {} if run_id is None else {RUN_OF_DOOR: run_id}
        self._state = ServerState()
        self._server: asyncio.AbstractServer | None = None
        self._emptied = asyncio.Event()
        self._closed = closed
        self._turnstile = turnstile

    async def open(self, listening: socket.socket) -> None:
        """Take connections."""
        loop = asyncio.get_running_loop()
        if listening.family != socket.AF_UNIX:
            self._server = await loop.create_server(self._greet, sock=listening, backlog=BACKLOG)
        elif sys.version_info >= (3, 13):
            # From there on who serves no more removes the path, though the next one answers on the same socket.
            self._server = await loop.create_unix_server(
                self._greet, sock=listening, backlog=BACKLOG, cleanup_socket=False
            )
        else:
            self._server = await loop.create_unix_server(self._greet, sock=listening, backlog=BACKLOG)

    async def close(self) -> None:
        """Take no more; let what is under way end, and cut off what does not. Closing twice is fine."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for each in list(self._state.connections):
            each.shutdown()
        try:
            async with asyncio.timeout(DRAIN_S):
                while self._state.connections:
                    self._emptied.clear()
                    await self._emptied.wait()
        except TimeoutError:
            for each in list(self._state.connections):
                each.transport.abort()
        await _finish(self._state.tasks)
        self._closed(self)

    def _greet(self) -> Connection:
        return Connection(
            self._config,
            self._state,
            self._scope_state,
            lost=self._emptied.set,
            turnstile=self._turnstile,
        )


async def _finish(requests: set[asyncio.Task[None]]) -> None:
    """Each hears that its peer is gone and ends by itself, or is ended."""
    if not requests:
        return
    _, left = await asyncio.wait(set(requests), timeout=DRAIN_S)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
