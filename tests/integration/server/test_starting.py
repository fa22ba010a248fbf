"""A daemon that is still opening its log says so, on the socket on which it will answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from moduprompt.client import Client, Limits, RequestRefused, Unreachable
from moduprompt.protocol import Code, ErrorObject
from moduprompt.server.doors import Porter, bind_loopback, bind_unix
from moduprompt.server.starting import StartingApp, open_lobby


class Lobby:
    """Two sockets, and who answers there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mpd.sock"
        self.sockets = [bind_unix(self.path), bind_loopback("127.0.0.1:0")]
        self.port = int(self.sockets[1].getsockname()[1])
        self.doing = "folding workspace w, 7 % of 1,000 events"
        self.porter: Porter | None = None

    async def open(self) -> None:
        self.porter = await open_lobby(self.sockets, StartingApp(version="1.2.3", doing=lambda: self.doing))

    async def close(self) -> None:
        assert self.porter is not None
        await self.porter.stop()


@pytest.fixture
async def lobby(tmp_path: Path) -> AsyncGenerator[Lobby]:
    lobby = Lobby(tmp_path)
    await lobby.open()
    yield lobby
    await lobby.close()
    for each in lobby.sockets:
        each.close()


async def refused(lobby: Lobby, target: str) -> ErrorObject:
    async with Client(token="none", socket=str(lobby.path), limits=Limits(answer_s=20.0)) as client:
        with pytest.raises(RequestRefused) as caught:
            await (client.ready() if target == "ready" else client.recovery())
    return caught.value.error


async def asked(lobby: Lobby, head: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", lobby.port)
    writer.write(f"{head}\r\nHost: 127.0.0.1:{lobby.port}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def test_who_asks_too_early_is_told_how_far_it_is_and_when_to_come_again(lobby: Lobby) -> None:
    error = await refused(lobby, "ready")
    assert (error.code, error.message) == (Code.UNAVAILABLE, f"the daemon is starting: {lobby.doing}")
    assert error.details is not None
    assert (error.details["reason"], error.details["doing"]) == ("starting", lobby.doing)

    lobby.doing = "folding workspace w, 8 % of 1,000 events"
    assert "8 %" in (await refused(lobby, "ready")).message
    told = await asked(lobby, "POST /v1/commands/submit HTTP/1.1")
    assert told.startswith(b"HTTP/1.1 503")
    assert b"\r\nretry-after: " in told.lower()


async def test_it_lives(lobby: Lobby) -> None:
    told = await asked(lobby, "GET /v1/daemon/ping HTTP/1.1")
    assert told.startswith(b"HTTP/1.1 200")
    assert b'"status":"ok","version":"1.2.3"' in told


async def test_a_page_of_the_web_reaches_it_no_more_than_later(lobby: Lobby) -> None:
    told = await asked(lobby, "GET /v1/daemon/ping HTTP/1.1\r\nOrigin: http://evil.example")
    assert not told.startswith(b"HTTP/1.1 200")


async def test_when_it_is_through_the_socket_is_still_there_and_who_connects_waits(lobby: Lobby) -> None:
    await lobby.close()
    assert lobby.path.is_socket()
    impatient = Client(token="none", socket=str(lobby.path), limits=Limits(answer_s=0.2))
    async with impatient:
        with pytest.raises(Unreachable):  # nobody answers, and nobody refuses either
            await impatient.ready()
    await lobby.open()
    assert (await refused(lobby, "ready")).code is Code.UNAVAILABLE
