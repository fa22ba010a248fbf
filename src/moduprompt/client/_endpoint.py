"""Where a daemon listens and with which token it is spoken to."""

import asyncio
from typing import Final

import msgspec

from moduprompt.client._errors import Unreachable

CHUNK_BYTES: Final = 256 * 1024  # of one read; a page of events in one or two


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A Unix socket, or `host:port` (`http://` before it is fine); exactly one of the two."""

    token: str
    socket: str | None = None
    addr: str | None = None

    def __post_init__(self) -> None:
        if (self.socket is None) == (self.addr is None):
            raise ValueError("an endpoint is a socket or an address, one of the two")

    def __str__(self) -> str:
        return self.socket or self.addr or ""

    @property
    def host(self) -> str:
        """For the Host header: the server checks it on TCP."""
        return "localhost" if self.addr is None else self.addr.removeprefix("http://")

    async def connect(self, timeout_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An open connection. Raises Unreachable."""
        try:
            async with asyncio.timeout(timeout_s):
                if self.socket is not None:
                    return await asyncio.open_unix_connection(self.socket, limit=CHUNK_BYTES)
                host, _, port = self.host.rpartition(":")
                return await asyncio.open_connection(host.strip("[]"), int(port), limit=CHUNK_BYTES)
        except TimeoutError as fault:
            raise Unreachable(f"{self} did not accept a connection within {timeout_s:g} s") from fault
        except (OSError, ValueError, OverflowError) as fault:  # ValueError: a port that is no number
            raise Unreachable(f"no daemon answers at {self}: {fault}") from fault
