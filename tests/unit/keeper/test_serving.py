"""One connection's share of a keeper's loop."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from moduprompt.keeper import wire
from moduprompt.keeper.recording import OUTPUT, Recording
from moduprompt.keeper.serving import PUSHES_MAX, Connection

NONCE = "of this run"
PIECES = 4 * PUSHES_MAX


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[Connection]:
    """A peer that takes whatever it is sent, at once, and watches a long past."""
    recording = Recording(str(tmp_path / "recording"), started_us=1)
    for number in range(PIECES):
        recording.append(OUTPUT, number, b"x" * wire.OUTPUT_BYTES_MAX)
    run = SimpleNamespace(
        spec=SimpleNamespace(nonce=NONCE, run_id="r"),
        keeper=SimpleNamespace(pid=1, start_time=1),
        agent=None,
        state="running",
        has_ended=False,
        traffic=SimpleNamespace(real_terminals=0),
        records=SimpleNamespace(
            recording=recording,
            journal=SimpleNamespace(durable=0, acknowledged=0, unacknowledged={}),
        ),
    )
    asked, answered = os.pipe()
    os.write(answered, wire.encode(wire.HELLO, {"version": wire.VERSION, "nonce": NONCE}))
    os.write(answered, wire.encode(wire.ATTACH, {"request": 1, "from": 0, "answers_terminal": False}))
    connection = Connection(asked, run)  # pyright: ignore[reportArgumentType] - what it needs of a run
    connection.receive()
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, asked)
    os.close(sink)
    os.close(answered)
    yield connection
    connection.close()
    recording.close()


def test_a_watcher_of_a_long_past_gets_it_in_turns(watcher: Connection) -> None:
    """Until it has all of it, the program and everybody else are attended to in between."""
    turns = 0
    while watcher.wants_to_send:
        watcher.push()
        turns += 1
    assert turns >= PIECES / PUSHES_MAX


def test_it_is_known_once_it_has_said_the_nonce(watcher: Connection) -> None:
    assert watcher.is_known
