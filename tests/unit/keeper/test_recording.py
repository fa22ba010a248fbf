"""The recording's format: every byte comes back, from any place, also after a torn write."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.effects.runner.port import AuthorKind
from moduprompt.keeper import recording
from moduprompt.keeper.recording import INPUT, MARK, OUTPUT, RESIZE, OutputCursor, Recording, RecordingError

PIECES = st.lists(
    st.one_of(
        st.tuples(st.just(OUTPUT), st.binary(min_size=1, max_size=60)),
        st.tuples(st.sampled_from([INPUT, RESIZE, MARK]), st.binary(max_size=20)),
    ),
    max_size=12,
)
Pieces = list[tuple[int, bytes]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.mprec"


def written(path: Path, pieces: Pieces) -> Recording:
    path.unlink(missing_ok=True)
    made = Recording(str(path), started_us=17)
    for time_us, (kind, payload) in enumerate(pieces):
        made.append(kind, time_us, payload)
    return made


def read(path: Path) -> Pieces:
    fd = os.open(path, os.O_RDONLY)
    try:
        assert recording.read_start(fd) == 17
        return [(frame.kind, frame.payload) for frame in recording.scan_frames(fd)]
    finally:
        os.close(fd)


def output_of(pieces: Pieces) -> bytes:
    return b"".join(payload for kind, payload in pieces if kind == OUTPUT)


@given(pieces=PIECES)
def test_every_frame_comes_back_in_order(tmp_path_factory: pytest.TempPathFactory, pieces: Pieces) -> None:
    path = tmp_path_factory.mktemp("recording") / "r"
    written(path, pieces).close()

    assert read(path) == pieces


@given(pieces=PIECES, data=st.data())
def test_a_torn_tail_costs_the_torn_frame_only(
    tmp_path_factory: pytest.TempPathFactory, pieces: Pieces, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("recording") / "r"
    written(path, pieces).close()
    whole = path.read_bytes()
    keep = data.draw(st.integers(16, len(whole)))
    path.write_bytes(whole[:keep])

    survivors = read(path)
    cut = recording.repair(str(path))

    assert survivors == pieces[: len(survivors)]
    assert keep == len(whole) or len(survivors) < len(pieces)
    assert path.read_bytes() == whole[: keep - cut]
    assert recording.repair(str(path)) == 0
    assert read(path) == survivors


@given(pieces=PIECES.filter(bool), data=st.data())
def test_a_flipped_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, pieces: Pieces, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("recording") / "r"
    written(path, pieces).close()
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(16, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)

    survivors = read(path)

    assert len(survivors) < len(pieces)
    assert survivors == pieces[: len(survivors)]


@given(pieces=PIECES, start=st.integers(0, 400), size=st.integers(1, 70))
def test_a_watcher_reads_all_output_from_its_own_offset(
    tmp_path_factory: pytest.TempPathFactory, pieces: Pieces, start: int, size: int
) -> None:
    made = written(tmp_path_factory.mktemp("recording") / "r", pieces)
    start = min(start, made.output_bytes)
    cursor = OutputCursor(made, start)
    seen = b""
    while piece := cursor.read(size):
        assert len(piece) <= size
        seen += piece
    made.close()

    assert seen == output_of(pieces)[start:]
    assert cursor.offset == made.output_bytes


def test_a_watcher_that_has_caught_up_sees_what_comes_later(path: Path) -> None:
    made = written(path, [(OUTPUT, b"one")])
    cursor = OutputCursor(made, 3)
    assert cursor.read(100) == b""
    made.append(MARK, 1, b"between")
    made.append(OUTPUT, 2, b"two")

    assert (cursor.read(100), cursor.read(100)) == (b"two", b"")
    made.close()


def test_the_index_stays_small_and_still_finds_every_offset(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "INDEX_STRIDE_BYTES", 10)
    monkeypatch.setattr(recording, "INDEX_ENTRIES_MAX", 8)
    pieces = [(OUTPUT, bytes([number]) * 7) for number in range(200)]
    made = written(path, pieces)
    whole = output_of(pieces)

    found = [OutputCursor(made, offset).read(1) for offset in range(len(whole))]
    made.close()

    assert b"".join(found) == whole
    assert made.index_entries <= 8


def test_a_disk_that_refuses_leaves_no_half_frame(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = written(path, [(OUTPUT, b"one")])
    real_pwrite = os.pwrite

    def torn_pwrite(fd: int, data: bytes, position: int) -> int:
        real_pwrite(fd, data[:5], position)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", torn_pwrite)
        with pytest.raises(OSError, match="No space"):
            made.append(OUTPUT, 1, b"lost")
    made.append(OUTPUT, 2, b"two")
    made.close()

    assert read(path) == [(OUTPUT, b"one"), (OUTPUT, b"two")]


@pytest.mark.parametrize("raw", [b"", b"MPREC", b"asciicast" * 4, b"MPREC\0\0\2" + bytes(8)], ids=repr)
def test_what_is_no_recording_of_our_version_is_refused(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)

    with pytest.raises(RecordingError):
        recording.repair(str(path))


@given(author=st.sampled_from(recording.AUTHORS), author_id=st.text(max_size=60), data=st.binary(max_size=50))
def test_an_input_keeps_its_author(author: AuthorKind, author_id: str, data: bytes) -> None:
    packed = recording.pack_input(author, author_id, data)

    assert recording.unpack_input(packed) == (author, author_id, data)
