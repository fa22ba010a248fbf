"""The file format of bundles: one file for one log, and nothing else is taken for it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import msgspec
import pytest

from moduprompt.protocol import encode
from moduprompt.storage import bundle
from moduprompt.storage.bundle import Bundle, BundleRefused, to_header
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.port import StorageFailed
from tests.support.bundles import LINES, TEXTS, a_bundle

REFS = tuple(sorted(content_hash(text) for text in TEXTS))


def test_what_is_written_is_read_again() -> None:
    read = Bundle(io.BytesIO(a_bundle()))

    assert tuple(read.lines()) == LINES
    assert [piece.ref for piece in read.manifest.artifacts] == list(REFS)
    for piece in read.manifest.artifacts:
        read.check_artifact(piece)
        assert content_hash(b"".join(read.artifact(piece))) == piece.ref


def test_the_same_log_gives_the_same_bytes() -> None:
    assert a_bundle() == a_bundle(texts=TEXTS[::-1])


def test_any_tar_program_can_open_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(a_bundle()), mode="r:") as archive:
        names = archive.getnames()
        events = archive.extractfile("events.ndjson")
        assert events is not None
        assert events.read() == b"".join(line + b"\n" for line in LINES)
        assert all(each.isfile() and (each.mode, each.uid, each.mtime) == (0o644, 0, 0) for each in archive)
    assert names == ["manifest.json", "events.ndjson", *(f"artifacts/{ref[7:]}" for ref in REFS)]


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 700, 1_024, 2_000, 3_000, -1_024, -1])
def test_a_file_that_was_cut_is_refused(cut: int) -> None:
    with pytest.raises(BundleRefused):
        Bundle(io.BytesIO(a_bundle()[:cut]))


def with_manifest(**changes: object) -> bytes:
    whole = a_bundle()
    read = Bundle(io.BytesIO(whole))
    fields = {**msgspec.to_builtins(read.manifest), **changes}
    data = encode({name: value for name, value in fields.items() if value is not None})
    size = int(whole[124:135], 8)
    body = whole[512 + size + (-size % 512) :]
    return to_header("manifest.json", len(data)) + data + bytes(-len(data) % 512) + body


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "another"},
        {"format_version": 2},
        {"surprise": 1},
        {"seq": 0},
        {"seq": None},
        {"workspace_id": "../../etc"},
        {"head_hash": "blake3:../../etc/passwd"},
        {"missing": [REFS[0]]},
        {"missing": ["blake3:" + "0" * 64] * 2},
        {"artifacts": []},
        {"artifacts": [{"ref": "blake3:" + "0" * 64, "size": 3}]},
        {"artifacts": [{"ref": REFS[0], "size": 8**11}]},
        {"events": {"ref": REFS[0], "size": 1}},
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BundleRefused):
        Bundle(io.BytesIO(with_manifest(**changes)))


def test_a_bundle_of_a_later_version_says_so() -> None:
    with pytest.raises(BundleRefused, match="version 2"):
        Bundle(io.BytesIO(with_manifest(format_version=2)))


def replaced(name: bytes, by: bytes) -> bytes:
    whole = a_bundle()
    start = whole.index(name.ljust(100, b"\0"))
    return whole[:start] + by + whole[start + 512 :]


def entry(name: str, *, type_: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """A header as Python's own tar makes it."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = len(TEXTS[0]), type_, link, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a path upwards": lambda: entry("../../" + REFS[0][7:]),
    "an absolute path": lambda: entry("/artifacts/" + REFS[0][7:]),
    "a link": lambda: entry("artifacts/" + REFS[0][7:], type_=tarfile.SYMTYPE, link="/etc/passwd"),
    "a hard link": lambda: entry("artifacts/" + REFS[0][7:], type_=tarfile.LNKTYPE, link="manifest.json"),
    "a device": lambda: entry("artifacts/" + REFS[0][7:], type_=tarfile.CHRTYPE),
    "another name": lambda: entry("artifacts/more"),
    "a name with a tail": lambda: to_header("artifacts/" + REFS[0][7:] + "\0x", len(TEXTS[0])),
    "a lie about the size": lambda: to_header("artifacts/" + REFS[0][7:], 2**30),
    "noise": lambda: b"\xff" * 512,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_entry_that_is_not_ours_is_refused(kind: str) -> None:
    name = b"artifacts/" + REFS[0][7:].encode()
    with pytest.raises(BundleRefused):
        Bundle(io.BytesIO(replaced(name, HOSTILE[kind]())))


@pytest.mark.parametrize("more", [b"\0", b"x" * 512, bytes(512)])
def test_nothing_may_follow_the_end(more: bytes) -> None:
    with pytest.raises(BundleRefused):
        Bundle(io.BytesIO(a_bundle() + more))


def test_nothing_hides_in_the_padding() -> None:
    whole = bytearray(a_bundle())
    at = whole.index(TEXTS[0]) + len(TEXTS[0]) + 5
    whole[at] = 1
    with pytest.raises(BundleRefused, match="hides"):
        Bundle(io.BytesIO(bytes(whole)))


def test_other_bytes_in_an_artifact_or_an_event_are_found() -> None:
    whole = a_bundle()
    read = Bundle(io.BytesIO(whole.replace(TEXTS[0], b"oNe")))
    changed = next(piece for piece in read.manifest.artifacts if piece.ref == content_hash(TEXTS[0]))
    with pytest.raises(BundleRefused, match="not the one"):
        read.check_artifact(changed)
    with pytest.raises(BundleRefused, match="not the ones"):
        list(Bundle(io.BytesIO(whole.replace(b'{"a":1}', b'{"a":2}'))).lines())


def test_a_line_longer_than_any_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "LINE_BYTES_MAX", 100)
    with pytest.raises(BundleRefused, match="longer"):
        list(Bundle(io.BytesIO(a_bundle())).lines())


def test_an_entry_of_more_than_eight_gigabytes_is_refused_when_it_is_a_bundle() -> None:
    with pytest.raises(BundleRefused):
        to_header("artifacts/x", 8**11)


def test_a_bundle_without_artifacts_is_one() -> None:
    assert Bundle(io.BytesIO(a_bundle(texts=()))).manifest.artifacts == ()


class Counting(io.BytesIO):
    """Notes the largest piece that is read or written at once."""

    largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.largest = max(self.largest, len(data))
        return data

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # bytes are what is written here
        size = super().write(data)
        self.largest = max(self.largest, size)
        return size


def test_a_large_artifact_goes_in_and_comes_out_in_chunks() -> None:
    file, size = Counting(), 5 * bundle.CHUNK + 7
    whole = bytes(size)
    writer = bundle.BundleWriter(file)
    writer.end_events()
    pieces = (whole[start : start + bundle.CHUNK] for start in range(0, size, bundle.CHUNK))
    writer.add_artifact(content_hash(whole), pieces, size=size)
    assert file.largest == bundle.CHUNK

    read = Bundle(file_of := Counting(a_bundle(texts=(whole,))))
    (piece,) = read.manifest.artifacts
    file_of.largest = 0
    assert [len(chunk) for chunk in read.artifact(piece)] == [bundle.CHUNK] * 5 + [7]
    read.check_artifact(piece)
    assert file_of.largest == bundle.CHUNK


def test_an_artifact_that_changes_while_it_is_written_is_no_bundle() -> None:
    writer = bundle.BundleWriter(io.BytesIO())
    writer.end_events()

    with pytest.raises(StorageFailed):
        writer.add_artifact(content_hash(b"text"), (b"tex", b"u"), size=4)
