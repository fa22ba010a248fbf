"""The sockets the daemon answers on, and the server that reads them.

The Unix socket is made with mode 0600 from its first moment. A stale one, left by a
daemon that was killed, is replaced: who holds the data's lock may do so.
"""

import asyncio
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from moduprompt.config import ConfigRefused

BACKLOG: Final = 512  # fifty agents and their tools connecting at once after a restart
KEEP_ALIVE_S: Final = 75  # longer than a client's pause between two calls
DRAIN_S: Final = 10  # a request that takes longer is cut off at shutdown


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at this path. Raises ConfigRefused."""
    try:
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(BACKLOG)
    except OSError as fault:
        raise ConfigRefused(
            f"the socket {path} can't be made: {fault.strerror or fault}",
            path=str(path),
            hint="choose another folder with --runtime-dir",
        ) from fault
    listening.setblocking(False)  # noqa: FBT003 - the library's signature
    return listening


def bind_loopback(listen: str) -> socket.socket:
    """A listening socket on 127.0.0.1. Raises ConfigRefused."""
    host, _, port = listen.rpartition(":")
    if host not in ("127.0.0.1", "localhost", "[::1]") or not port.isdigit() or int(port) > 65_535:
        raise ConfigRefused(
            f"{listen} is no loopback address",
            path="listen",
            hint="use 127.0.0.1:PORT; the daemon does not listen on a network",
        )
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), int(port)))
    except OSError as fault:
        raise ConfigRefused(
            f"{listen} can't be bound: {fault.strerror or fault}", path="listen", hint="choose another port"
        ) from fault
    listening.listen(BACKLOG)
    listening.setblocking(False)  # noqa: FBT003 - the library's signature
    return listening


class Listener:
    """Answers on the given sockets until it is told to stop."""

    def __init__(self, app: ASGIApp, sockets: list[socket.socket]) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
            backlog=BACKLOG,
        )
        self._server = _Server(config)
        self._sockets = sockets
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._server.serve(sockets=self._sockets), name="server")
        await self._server.is_up.wait()

    async def stop(self) -> None:
        """Finish what is under way, take nothing more; stopping twice is fine."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            self._task = None


class _Server(uvicorn.Server):
    """Signals belong to the daemon, which must drain the streams first; and it says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then say so."""
        await super().startup(sockets=sockets)
        self.is_up.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them alone."""
        yield
