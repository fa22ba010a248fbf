"""Reading recordings, those of version 1 for ever."""

from pathlib import Path

import pytest

from moduprompt.effects.runner.port import Author
from moduprompt.effects.runner.recording import Input, Mark, Output, RecordingReader, Resize
from moduprompt.keeper.recording import MARK, OUTPUT, Recording, RecordingError
from tests.support import keeper_v1

GOLDEN = keeper_v1.GOLDEN / "recording.mprec"


def test_a_version_1_recording_is_read_frame_by_frame() -> None:
    with RecordingReader(GOLDEN) as reader:
        frames = list(reader.frames())

        assert frames == [
            Resize(time_us=5, rows=24, cols=80),
            Output(time_us=1000, offset=0, data=b"hello \xff\r\n"),
            Input(time_us=2000, author=Author(kind="user", id="0190"), data=b"yes\n"),
            Mark(time_us=3000, text="a mark"),
            Output(time_us=4000, offset=9, data=b"bye\r\n"),
        ]
        assert (reader.started_us, reader.duration_us()) == (1_800_000_000_000_000, 4000)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"hello \xff\r\nbye\r\n"),
        (6, 12, b"\xff\r\nbye"),
        (9, None, b"bye\r\n"),
        (0, 0, b""),
        (99, None, b""),
        (2, 4, b"ll"),
    ],
)
def test_any_stretch_of_the_output_can_be_had(start: int, end: int | None, expected: bytes) -> None:
    with RecordingReader(GOLDEN) as reader:
        assert reader.output_bytes(start, end) == expected


def test_a_recording_that_is_still_written_shows_more_later(tmp_path: Path) -> None:
    recording = Recording(str(tmp_path / "r"), started_us=0)
    recording.append(OUTPUT, 1, b"one")
    with RecordingReader(tmp_path / "r") as reader:
        before = reader.output_bytes()
        recording.append(OUTPUT, 2, b"two")
        after = reader.output_bytes()
    recording.close()

    assert (before, after) == (b"one", b"onetwo")


def test_whoever_fetches_a_recording_gets_what_there_was_when_they_asked(tmp_path: Path) -> None:
    """A program that prints as fast as its recording is fetched must not keep anybody fetching."""
    written = Recording(str(tmp_path / "r"), started_us=0)
    written.append(OUTPUT, 1, b"first")
    size = (tmp_path / "r").stat().st_size
    with RecordingReader(tmp_path / "r") as reader:
        fetched = b""
        for piece in reader.raw():
            fetched += piece
            assert len(fetched) <= size, "it goes on for ever"
            written.append(OUTPUT, 2, b"more and more")
    written.close()

    assert len(fetched) == size


def test_a_frame_of_a_kind_we_do_not_know_is_left_out(tmp_path: Path) -> None:
    recording = Recording(str(tmp_path / "r"), started_us=0)
    recording.append(200, 1, b"what?")
    recording.append(MARK, 2, b"known")
    recording.close()

    with RecordingReader(tmp_path / "r") as reader:
        assert list(reader.frames()) == [Mark(time_us=2, text="known")]


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("not a recording at all")

    with pytest.raises(RecordingError):
        RecordingReader(tmp_path / "r")
