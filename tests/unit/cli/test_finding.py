"""Finding a daemon while it takes over from one that was killed: its token is in the file a moment after the old one."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from moduprompt.cli import daemons
from moduprompt.cli.daemons import find
from moduprompt.cli.faults import CallFailed
from moduprompt.config import Config, DaemonFile
from moduprompt.protocol import Code, ErrorObject, Ready


def config(folder: Path) -> Config:
    return Config(data_dir=folder, runtime_dir=folder, log_db=folder / "log.sqlite", listen=None)


def says(own: Config, token: str) -> None:
    """The file of a daemon."""
    written = DaemonFile(
        addr="",
        socket=str(own.socket),
        token=token,
        pid=os.getpid(),
        db_path=str(own.log_db),
        started_at="2026-11-23T00:00:00.000Z",
        version="0",
    )
    own.daemon_file.write_bytes(msgspec.json.encode(written))


class Door:
    """Lets one token in. It turns the others away and, where it should, writes its own into the file meanwhile."""

    def __init__(self, own: Config, *, token: str, writes: bool) -> None:
        self._own = own
        self._token = token
        self._writes = writes
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        token = next(
            line for line in head.split("\r\n") if line.lower().startswith("authorization:")
        ).split()[-1]
        self.asked.append(token)
        if token == self._token:
            status, answer = "200 OK", self._ready()
        else:
            refused = ErrorObject(code=Code.UNAUTHORIZED, message="not known here", hint="")
            status, answer = "401 Unauthorized", msgspec.json.encode({"error": refused})
            if self._writes:
                says(self._own, self._token)
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + answer
        )
        await writer.drain()
        writer.close()

    def _ready(self) -> bytes:
        ready = Ready(
            status="ready",
            version="0",
            owner_id="usr_1",
            pid=os.getpid(),
            data_dir=str(self._own.data_dir),
            workspaces=0,
            live_runs=0,
        )
        return msgspec.json.encode(ready)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long an answer took, the token that it turned away is not yet the wrong one."""
    monkeypatch.setattr(daemons, "TOKEN_S", 0.0)


async def found(own: Config, door: Door) -> "daemons.Found | None":
    server = await asyncio.start_unix_server(door, own.socket)
    async with server:
        return await find(own)


def test_a_daemon_that_was_long_in_coming_is_found_by_the_token_it_has_written_since(
    tmp_path: Path, no_patience: None
) -> None:
    own = config(tmp_path)
    says(own, "of-the-one-before")
    door = Door(own, token="of-this-one", writes=True)

    daemon = asyncio.run(found(own, door))

    assert daemon is not None
    assert daemon.endpoint.token == "of-this-one"
    assert door.asked == ["of-the-one-before", "of-this-one"]


def test_a_token_that_stays_in_the_file_and_is_turned_away_is_the_wrong_one(
    tmp_path: Path, no_patience: None
) -> None:
    own = config(tmp_path)
    says(own, "of-another")

    with pytest.raises(CallFailed) as failed:
        asyncio.run(found(own, Door(own, token="of-this-one", writes=False)))

    assert failed.value.error.code is Code.UNAUTHORIZED
    assert "mpd stop, mpd start" in str(failed.value.error.hint)
