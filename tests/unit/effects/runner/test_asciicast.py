"""An asciicast holds what a recording holds, as far as text can."""

import json
from pathlib import Path

from moduprompt.effects.runner.asciicast import to_asciicast
from moduprompt.effects.runner.recording import RecordingReader
from moduprompt.keeper.recording import INPUT, MARK, OUTPUT, RESIZE, Recording, pack_input, pack_size


def test_every_kind_of_frame_becomes_an_event_and_a_cut_character_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "r"
    recording = Recording(str(path), started_us=1_700_000_000_000_000)
    recording.append(RESIZE, 0, pack_size(30, 100))
    recording.append(OUTPUT, 500_000, b"caf\xc3")
    recording.append(OUTPUT, 600_000, b"\xa9\xff\r\n")
    recording.append(INPUT, 700_000, pack_input("user", "u", b"y\r"))
    recording.append(MARK, 800_000, b"here")
    recording.append(RESIZE, 900_000, pack_size(40, 120))
    recording.close()
    with RecordingReader(path) as reader:
        header, *events = [json.loads(line) for line in to_asciicast(reader, title="agent")]

    assert header == {
        "version": 2,
        "width": 100,
        "height": 30,
        "timestamp": 1_700_000_000,
        "title": "agent",
    }
    assert events == [
        [0.5, "o", "caf"],
        [0.6, "o", "é\ufffd\r\n"],
        [0.7, "i", "y\r"],
        [0.8, "m", "here"],
        [0.9, "r", "120x40"],
    ]
