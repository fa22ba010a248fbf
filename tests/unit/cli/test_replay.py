"""A recording is played back byte for byte, and what is none is refused."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from moduprompt.cli.faults import CallFailed
from moduprompt.cli.replay import replay
from moduprompt.keeper.recording import INPUT, OUTPUT, Recording


async def pieces(data: bytes) -> AsyncGenerator[bytes]:
    for start in range(0, len(data), 7):
        yield data[start : start + 7]


def recorded(tmp_path: Path) -> bytes:
    path = tmp_path / "r"
    recording = Recording(str(path), started_us=1)
    recording.append(OUTPUT, 0, b"one\x1b[31m")
    recording.append(INPUT, 10, b"\0\0typed")
    recording.append(OUTPUT, 20, b"\xff two")
    recording.close()
    return path.read_bytes()


@pytest.mark.parametrize("speed", [None, 1_000.0])
async def test_what_was_printed_is_printed_again(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], speed: float | None
) -> None:
    await replay(pieces(recorded(tmp_path)), speed=speed)

    assert capsysbinary.readouterr().out == b"one\x1b[31m\xff two"


async def test_a_recording_that_ends_torn_is_played_to_its_last_whole_frame(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    await replay(pieces(recorded(tmp_path)[:-2]), speed=None)

    assert capsysbinary.readouterr().out == b"one\x1b[31m"


async def test_what_is_no_recording_is_refused() -> None:
    with pytest.raises(CallFailed, match="can't be read"):
        await replay(pieces(b"<html>"), speed=None)
