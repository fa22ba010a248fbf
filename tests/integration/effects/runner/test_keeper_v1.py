"""Old and new speak to each other: frozen requests to a live keeper, frozen answers to our link."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.link import KeeperLink, open_link
from moduprompt.keeper import __file__ as keeper_package
from moduprompt.keeper import wire
from tests.support import keeper_v1
from tests.support.deadline import HANG_S, eventually
from tests.support.runs import AUTHOR, PATH, shell

GOLDEN_SPEC = {
    "version": 1,
    "run_id": "golden-run",
    "argv": shell('while read line; do echo "got <$line>"; done'),
    "cwd": "/",
    "env": {"PATH": PATH, "MP_RUN": "golden-run"},
    "rows": 24,
    "cols": 80,
    "nonce": "golden-nonce",
    "limits": {"wall_s": 60, "output_bytes_max": 1_000_000},
    "stop_graces_s": {"interrupt": 0.1, "terminate": 0.1, "kill": 5},
}


class Conversation:
    """A bare client: it sends frozen bytes and collects what comes back, by frame type."""

    def __init__(self, run_dir: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(HANG_S)
        folder = os.open(run_dir, os.O_PATH)
        self._socket.connect(f"/proc/self/fd/{folder}/keeper.sock")
        os.close(folder)
        self._frames = wire.FrameReader()
        self.heard: list[tuple[int, bytes]] = []

    def say(self, name: str) -> None:
        self.send(keeper_v1.golden(name))

    def send(self, frame: bytes) -> None:
        self._socket.sendall(frame)

    def hear(self, kind: int) -> bytes:
        """The next frame of this type; what comes before it is kept in `heard`."""
        while True:
            for at, (found, body) in enumerate(self.heard):
                if found == kind:
                    del self.heard[at]
                    return body
            data = self._socket.recv(65536)
            assert data, f"hung up before a frame of type {kind}; heard {self.heard}"
            self.heard += self._frames.feed(data)

    def hear_output(self, wanted: bytes) -> None:
        seen = b""
        while wanted not in seen:
            offset, data = wire.decode_output(self.hear(wire.OUTPUT))
            assert offset == len(seen)
            seen += data

    def close(self) -> None:
        self._socket.close()


def start_keeper(run_dir: Path) -> None:
    program = Path(keeper_package).with_name("__main__.py")
    subprocess.run(
        [sys.executable, "-I", "-S", str(program), str(run_dir)],
        input=json.dumps(GOLDEN_SPEC).encode(),
        check=True,
        timeout=120,
    )


def fields(body: bytes) -> dict[str, object]:
    return msgspec.json.decode(body, type=dict[str, object])


def test_a_keeper_still_understands_what_version_1_said(tmp_path: Path) -> None:
    start_keeper(tmp_path)
    client = Conversation(tmp_path)

    client.say("01_hello")
    welcome = msgspec.json.decode(client.hear(wire.WELCOME), type=port.Welcome)
    assert (welcome.version, welcome.run_id, welcome.state) == (1, "golden-run", "running")
    client.say("02_follow")
    client.say("03_attach")
    client.say("04_status")
    client.say("05_resize")
    assert fields(client.hear(wire.STATUS_REPLY))["state"] == "running"
    assert [fields(client.hear(wire.DONE))["request"] for _ in range(3)] == [1, 2, 4]
    client.say("06_input")
    client.say("07_keys")
    assert fields(client.hear(wire.INPUT_RESULT))["input_id"] == "i-1"
    assert fields(client.hear(wire.INPUT_RESULT))["input_id"] is None
    client.hear_output(b"got <x>")
    client.say("08_signal")
    client.say("09_ack")
    client.say("10_stop")
    client.hear(wire.OUTPUT_END)
    kinds = [fields(client.hear(wire.ENTRY))["kind"] for _ in range(6)]
    assert kinds == ["launching", "started", "input_intended", "input_applied", "stopping", "exited"]
    client.close()
    free_keeper(tmp_path)


def free_keeper(run_dir: Path) -> None:
    """Acknowledge everything, so that the keeper ends."""
    client = Conversation(run_dir)
    client.say("01_hello")
    last = msgspec.json.decode(client.hear(wire.WELCOME), type=port.Welcome).journal_last
    client.send(wire.encode(wire.ACK, {"request": 1, "upto": last}))
    eventually(lambda: not (run_dir / "keeper.sock").exists())
    client.close()


@asynccontextmanager
async def keeper_that_says(folder: Path, greeting: str, *answers: str) -> AsyncGenerator[Path]:
    """A socket that greets with a frozen frame, and says the others when it is asked something."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.readexactly(len(keeper_v1.golden("01_hello")))
        assert hello == keeper_v1.golden("01_hello")
        writer.write(keeper_v1.golden(greeting))
        while await reader.read(65536):
            for name in answers:
                writer.write(keeper_v1.golden(name))
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    hung_up = asyncio.Event()
    path = folder / "k"
    async with await asyncio.start_unix_server(answer, path):
        yield path
        await hung_up.wait()


async def linked(path: Path) -> KeeperLink:
    return await open_link(str(path), nonce="golden-nonce")


async def test_our_link_still_understands_a_version_1_greeting(tmp_path: Path) -> None:
    async with keeper_that_says(tmp_path, "51_welcome") as path, await linked(path) as link:
        assert link.welcome == port.Welcome(
            version=1,
            run_id="golden-run",
            keeper_pid=10,
            keeper_start_time=110,
            pid=11,
            start_time=111,
            state="running",
            output_bytes=5,
            journal_last=2,
            journal_acknowledged=0,
        )


async def test_our_link_still_understands_version_1_reports(tmp_path: Path) -> None:
    names = sorted(name for name in keeper_v1.ANSWERS if name >= "61")
    async with (
        keeper_that_says(tmp_path, "51_welcome", "52_done", *names) as path,
        await linked(path) as link,
    ):
        numbers: list[int] = []
        async for entry in link.entries():
            assert not isinstance(entry.report, port.UnknownReport)
            numbers.append(entry.number)
            if isinstance(entry.report, port.Exited):
                break

    assert numbers == list(range(1, 10))


async def test_our_link_still_understands_version_1_output(tmp_path: Path) -> None:
    names = ("51_welcome", "52_done", "58_output", "57_output_end")
    async with keeper_that_says(tmp_path, *names) as path, await linked(path) as link:
        chunks = [chunk async for chunk in link.output()]

    assert chunks == [port.OutputChunk(offset=keeper_v1.OUTPUT_OFFSET, data=keeper_v1.OUTPUT_DATA)]


async def test_our_link_still_understands_version_1_answers(tmp_path: Path) -> None:
    async with (
        keeper_that_says(tmp_path, "51_welcome", "53_status_reply") as path,
        await linked(path) as link,
    ):
        status = await link.status()

    assert (status.waiting_on_tty, status.canonical, status.quiet_ms) == (True, True, 250)


async def test_our_link_still_understands_a_version_1_input_result(tmp_path: Path) -> None:
    async with (
        keeper_that_says(tmp_path, "51_welcome", "54_input_result") as path,
        await linked(path) as link,
    ):
        result = await link.send_input(b"hello\n", author=AUTHOR, input_id="i-1")

    assert result == port.InputResult(input_id="i-1", outcome="applied", bytes=6)


async def test_our_link_still_understands_a_version_1_refusal(tmp_path: Path) -> None:
    async with keeper_that_says(tmp_path, "51_welcome", "55_refused") as path, await linked(path) as link:
        refused = await link.resize(rows=1, cols=1)

    assert refused == port.RequestRefused(code="not_running", message="the program has ended")


async def test_a_version_1_complaint_ends_the_link_with_its_reason(tmp_path: Path) -> None:
    async with keeper_that_says(tmp_path, "51_welcome", "56_error") as path, await linked(path) as link:
        with pytest.raises(port.LinkClosedError, match="unknown_field"):
            await link.send_input(b"x", author=AUTHOR, input_id="i")


@pytest.mark.parametrize("name", ["52_done", "58_output", "56_error"])
async def test_whoever_does_not_greet_is_no_keeper(tmp_path: Path, name: str) -> None:
    async with keeper_that_says(tmp_path, name) as path:
        with pytest.raises(port.LinkClosedError):
            await linked(path)
