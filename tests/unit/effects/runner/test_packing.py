"""A packed recording is the recording, smaller, and any moment of it is found."""

import zlib
from pathlib import Path

import pytest

from moduprompt.effects.runner.moments import moment_at
from moduprompt.effects.runner.packing import BLOCK_BYTES, Packed, is_packed, pack, packed_beside
from moduprompt.effects.runner.recording import Gap, Output, RecordingReader, Resize
from moduprompt.keeper.recording import (
    GAP,
    INPUT,
    OUTPUT,
    RESIZE,
    Recording,
    RecordingError,
    pack_gap,
    pack_input,
    pack_size,
)

FRAMES = 300
PIECE = 10_000


def recorded(path: Path, *, frames: int = FRAMES) -> bytes:
    """Some blocks' worth: a size, much output with a new size in the middle, keys, a gap."""
    recording = Recording(str(path), started_us=17)
    recording.append(RESIZE, 0, pack_size(24, 80))
    for number in range(frames):
        if number == frames // 2:
            recording.append(RESIZE, number * 1000, pack_size(50, 132))
        recording.append(OUTPUT, number * 1000, (b"%08d\r\n" % number) * (PIECE // 10))
    recording.append(INPUT, frames * 1000, pack_input("user", "ada", b"y\r"))
    recording.append(GAP, frames * 1000, pack_gap(5))
    recording.close()
    return path.read_bytes()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    recorded(tmp_path / "raw")
    pack(tmp_path / "raw", tmp_path / "packed")
    return tmp_path / "packed"


def test_it_reads_as_the_recording_it_was_and_is_smaller(tmp_path: Path, packed: Path) -> None:
    raw = (tmp_path / "raw").read_bytes()
    with RecordingReader(tmp_path / "raw") as before, RecordingReader(packed) as after:
        assert list(after.frames()) == list(before.frames())
        assert b"".join(after.raw()) == b"".join(before.raw()) == raw
        assert (after.started_us, after.duration_us()) == (17, FRAMES * 1000)
        assert after.output_bytes(PIECE - 3, PIECE + 8) == before.output_bytes(PIECE - 3, PIECE + 8)
    assert packed.stat().st_size < len(raw) / 10
    with packed.open("rb") as file:
        assert len(Packed(file.fileno()).entries) == -(-len(raw) // (BLOCK_BYTES + PIECE))


def test_the_same_recording_packs_to_the_same_bytes_and_is_packed_once(tmp_path: Path, packed: Path) -> None:
    pack(tmp_path / "raw", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == packed.read_bytes()
    assert packed_beside(tmp_path / "raw").read_bytes() == packed.read_bytes()
    assert packed_beside(packed).read_bytes() == packed.read_bytes()


@pytest.mark.parametrize("moment", [0, 1, 120_500, 150_000, 299_999, FRAMES * 1000, 10**12])
def test_what_leads_to_a_moment_is_found_without_reading_all(packed: Path, moment: int) -> None:
    wanted = 3 * PIECE
    with RecordingReader(packed) as reader:
        whole = [frame for frame in reader.frames() if frame.time_us <= moment]
        found = [
            frame for frame in reader.frames_before(moment, output_bytes=wanted) if frame.time_us <= moment
        ]
    printed = b"".join(frame.data for frame in whole if isinstance(frame, Output))
    ours = b"".join(frame.data for frame in found if isinstance(frame, Output))
    assert printed.endswith(ours)
    assert len(ours) >= min(wanted, len(printed))
    sizes = [frame for frame in whole if isinstance(frame, Resize)]
    last_size = [frame for frame in found if isinstance(frame, Resize)][-1]
    assert (last_size.rows, last_size.cols) == (sizes[-1].rows, sizes[-1].cols)


def test_output_from_a_byte_on_begins_at_or_before_it(packed: Path) -> None:
    offset = FRAMES * PIECE - 5
    with RecordingReader(packed) as reader:
        outputs = [frame for frame in reader.frames_from(offset) if isinstance(frame, Output)]
    assert outputs[0].offset <= offset
    assert len(outputs) < FRAMES / 2
    assert outputs[-1].offset + len(outputs[-1].data) == FRAMES * PIECE


def test_a_torn_tail_is_left_behind_and_a_gap_is_seen(tmp_path: Path) -> None:
    raw = recorded(tmp_path / "whole", frames=3)
    (tmp_path / "torn").write_bytes(raw[:-1])
    pack(tmp_path / "torn", tmp_path / "packed")
    with RecordingReader(tmp_path / "packed") as reader, RecordingReader(tmp_path / "torn") as torn:
        assert list(reader.frames()) == list(torn.frames())
    with RecordingReader(tmp_path / "whole") as reader:
        assert list(reader.frames())[-1] == Gap(time_us=3000, missing_bytes=5)


def test_one_without_frames_packs_too(tmp_path: Path) -> None:
    Recording(str(tmp_path / "raw"), started_us=17).close()
    pack(tmp_path / "raw", tmp_path / "packed")
    with RecordingReader(tmp_path / "packed") as reader:
        assert list(reader.frames()) == list(reader.frames_before(5, output_bytes=1)) == []


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_one_that_is_cut_is_refused(tmp_path: Path, packed: Path, cut: int) -> None:
    (tmp_path / "short").write_bytes(packed.read_bytes()[:-cut])
    with pytest.raises(RecordingError):
        RecordingReader(tmp_path / "short")


def test_a_spoilt_byte_is_refused_or_changes_nothing(tmp_path: Path, packed: Path) -> None:
    data = packed.read_bytes()
    with RecordingReader(packed) as reader:
        whole = list(reader.frames())
    refused = 0
    for place in range(8, len(data), len(data) // 40):  # behind what says the file's kind
        spoilt = bytearray(data)
        spoilt[place] ^= 1
        (tmp_path / "spoilt").write_bytes(spoilt)
        try:
            with RecordingReader(tmp_path / "spoilt") as reader:
                assert list(reader.frames()) == whole
        except RecordingError:
            refused += 1
    assert refused > 20


def test_a_block_that_unpacks_to_more_than_it_says_costs_no_memory(tmp_path: Path, packed: Path) -> None:
    data = packed.read_bytes()
    with packed.open("rb") as file:
        entry = Packed(file.fileno()).entries[0]
        assert is_packed(file.fileno())
    bomb = zlib.compress(b"\0" * (100 * BLOCK_BYTES), 9)[: entry.packed_bytes].ljust(
        entry.packed_bytes, b"\0"
    )
    place = entry.place
    (tmp_path / "bomb").write_bytes(data[:place] + bomb + data[place + len(bomb) :])
    with RecordingReader(tmp_path / "bomb") as reader, pytest.raises(RecordingError, match="block 0"):
        list(reader.frames())


@pytest.mark.parametrize("name", ["raw", "packed"])
@pytest.mark.parametrize("moment", [0, 149_999, 150_000, 299_999, None])
def test_a_moment_drawn_from_its_last_output_is_the_one_drawn_from_all(
    tmp_path: Path, packed: Path, name: str, moment: int | None
) -> None:
    with RecordingReader(packed.with_name(name)) as reader:
        short = moment_at(reader, moment, drawn_bytes=60_000)
        whole = moment_at(reader, moment, drawn_bytes=10**9)
    assert short.screen.text() == whole.screen.text()
    assert (short.screen.rows, short.screen.cols) == (whole.screen.rows, whole.screen.cols)
    assert (short.time_us, short.offset) == (whole.time_us, whole.offset)
