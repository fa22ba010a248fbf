"""A keeper among peers that break the protocol: each is told why and hung up on, and the run goes on."""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.keeper import wire
from moduprompt.keeper.keeper import CONNECTIONS_MAX
from tests.support.deadline import HANG_S
from tests.support.runs import AUTHOR, a_run, all_output, output_until, running, shell

NOISE_SEED = 20


class Kept:
    """A run that reads lines, and the way to its keeper's bare socket."""

    def __init__(self, *, backend: LocalBackend, link: port.RunLink, run_id: str) -> None:
        self.link = link
        self._run_dir = backend.run_dir(run_id)
        self.hello = wire.encode(wire.HELLO, {"version": wire.VERSION, "nonce": backend.nonce(run_id)})

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection; through the folder's descriptor, since the path may be long."""
        folder = os.open(self._run_dir, os.O_PATH)
        try:
            return await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/keeper.sock")
        finally:
            os.close(folder)

    def connect_silently(self) -> socket.socket:
        """A bare socket whose other end may be closed at any time."""
        folder = os.open(self._run_dir, os.O_PATH)
        try:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(
                f"/proc/self/fd/{folder}/keeper.sock"
            )  # waits until there is room in the queue
            connection.settimeout(HANG_S)
        finally:
            os.close(folder)
        return connection

    async def says_to(self, sent: bytes) -> list[tuple[int, bytes]]:
        """Every frame the keeper answers to these bytes until it hangs up."""
        reader, writer = await self.connect()
        try:
            writer.write(sent)
            return list(wire.FrameReader().feed(await asyncio.wait_for(reader.read(), HANG_S)))
        finally:
            writer.close()

    async def complaint_to(self, sent: bytes) -> str:
        """The code of the error that these bytes are answered with."""
        kind, body = (await self.says_to(sent))[-1]
        assert kind == wire.ERROR
        return str(msgspec.json.decode(body, type=dict[str, object])["code"])


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    backend = LocalBackend(tmp_path / "runs")
    spec = a_run(*shell('while read line; do echo "got <$line>"; done'))
    async with running(backend, spec) as link:
        yield Kept(backend=backend, link=link, run_id=spec.run_id)
        await link.send_input(b"alive\n", author=AUTHOR, input_id="i-alive")
        await output_until(link, b"got <alive>")


STATUS = wire.encode(wire.STATUS, {"request": 1})
GOOD_INPUT = {"request": 1, "input_id": "x", "author": {"kind": "user", "id": "u"}, "data": "eA=="}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (STATUS, "unauthorized"),
        (wire.encode(wire.HELLO, {"version": 1, "nonce": "guessed"}), "unauthorized"),
        (wire.encode(wire.HELLO, {"version": 2, "nonce": "n"}), "unknown_version"),
        (wire.encode(wire.HELLO, {"version": 1}), "bad_field"),
        (wire.encode_bytes(wire.HELLO, b"hello"), "bad_json"),
        (b"\xff\xff\xff\xff\x01", "frame_too_large"),
    ],
)
async def test_a_stranger_is_told_nothing_but_the_error(kept: Kept, sent: bytes, code: str) -> None:
    assert await kept.complaint_to(sent) == code
    assert len(await kept.says_to(sent)) == 1


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (wire.encode(77, {"request": 1}), "unknown_type"),
        (wire.encode(wire.STATUS, {"request": 1, "more": 1}), "unknown_field"),
        (wire.encode(wire.STATUS, {}), "bad_field"),
        (wire.encode(wire.RESIZE, {"request": 1, "rows": 0, "cols": 1}), "bad_field"),
        (wire.encode(wire.SIGNAL, {"request": 1, "signal": "SEGV"}), "bad_field"),
        (wire.encode(wire.ATTACH, {"request": 1, "from": -1, "answers_terminal": False}), "bad_field"),
        (wire.encode(wire.INPUT, {**GOOD_INPUT, "data": "not base64"}), "bad_field"),
        (wire.encode(wire.INPUT, {**GOOD_INPUT, "author": {"kind": "root", "id": "u"}}), "bad_field"),
        (
            wire.encode(wire.INPUT, {**GOOD_INPUT, "author": {"kind": "user", "id": "u", "x": 1}}),
            "unknown_field",
        ),
        (wire.encode_bytes(wire.STATUS, b"[1]"), "bad_json"),
    ],
)
async def test_a_known_peer_that_errs_is_hung_up_on(kept: Kept, sent: bytes, code: str) -> None:
    assert await kept.complaint_to(kept.hello + sent) == code


async def test_nothing_is_done_after_an_error(kept: Kept) -> None:
    typed = wire.encode(wire.INPUT, {**GOOD_INPUT, "data": "ZXZpbAo="})

    await kept.complaint_to(kept.hello + wire.encode(77, {}) + typed)
    await kept.link.send_input(b"good\n", author=AUTHOR, input_id="i-good")

    assert b"evil" not in await output_until(kept.link, b"got <good>")


async def test_noise_from_many_peers_does_not_disturb_the_run(kept: Kept) -> None:
    noise = random.Random(NOISE_SEED)
    for _ in range(150):
        prefix = kept.hello if noise.random() < 0.7 else b""
        body = noise.randbytes(noise.randrange(60))
        frame = wire.encode_bytes(noise.randrange(128), body if noise.random() < 0.5 else b'{"request":1}')
        reader, writer = await kept.connect()
        writer.write(prefix + (frame if noise.random() < 0.6 else body))
        if noise.random() < 0.5:
            writer.write_eof()
            await reader.read()
        writer.close()

    assert (await kept.link.status()).state == "running"


async def test_more_peers_than_a_keeper_serves_are_hung_up_on(kept: Kept) -> None:
    answers: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []
    for number in range(CONNECTIONS_MAX + 3):
        reader, writer = await kept.connect()
        if number < CONNECTIONS_MAX - 1:  # one place is taken by the fixture's own link
            writer.write(kept.hello)
        answers.append(await reader.read(65536))
        writers.append(writer)
    for writer in writers:
        writer.close()

    assert [bool(answer) for answer in answers] == [True] * (CONNECTIONS_MAX - 1) + [False] * 4
    assert (await kept.link.status()).state == "running"


async def test_peers_that_say_nothing_do_not_keep_the_daemon_out(kept: Kept) -> None:
    with contextlib.ExitStack() as strangers:
        for _ in range(CONNECTIONS_MAX + 3):
            strangers.enter_context(kept.connect_silently())
        known = strangers.enter_context(kept.connect_silently())
        known.sendall(kept.hello)
        answer = list(wire.FrameReader().feed(known.recv(65536)))

    assert [kind for kind, _ in answer] == [wire.WELCOME]


async def test_a_peer_that_asks_and_never_listens_is_hung_up_on(kept: Kept) -> None:
    _, writer = await kept.connect()
    writer.write(kept.hello)
    async with asyncio.timeout(60):
        with pytest.raises(ConnectionError):
            await ask_for_ever(writer)
    writer.close()


async def ask_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(STATUS * 500)
        await writer.drain()


async def test_two_watchers_see_the_same_bytes(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "runs")
    spec = a_run(*shell("for i in 1 2 3; do echo $i; done"))
    async with running(backend, spec) as link:
        second = await backend.dial(spec.run_id)
        assert not isinstance(second, (port.Gone, port.Unreachable))
        async with second:
            outputs = await asyncio.gather(all_output(link), all_output(second))

    assert outputs[0] == outputs[1] == b"1\r\n2\r\n3\r\n"
