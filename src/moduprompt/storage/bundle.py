"""A bundle: one workspace as one file, for another machine. Its log, its artifacts, and what they must hash to.

    manifest.json       what it is, how long, and the hashes of all of it
    events.ndjson       the stored bytes, verbatim, one event a line
    artifacts/<hash>    in the order of their hashes

The file is a POSIX tar archive (ustar, IEEE Std 1003.1) with no owner, no time and one mode, so
the same log gives the same bytes on every machine. The reader takes nothing else: each header must be the
very one that the writer would have made, so there are no links, no paths and no second meanings.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Annotated, BinaryIO, Final, Literal

import msgspec
from blake3 import blake3

from moduprompt.protocol import (
    SEQ_MAX,
    ArtifactRef,
    Id,
    Name,
    Ref,
    Rejection,
    WorkspaceId,
    decode,
    encode,
)
from moduprompt.storage.port import StorageFailed

FORMAT_VERSION: Final = 1
BLOCK: Final = 512  # tar's
SIZE_MAX: Final = 8**11 - 1  # what a ustar header can say: 8 GiB for one entry
MANIFEST_BYTES_MAX: Final = 64 * 1024 * 1024  # names some 400,000 artifacts
LINE_BYTES_MAX: Final = 16 * 1024 * 1024  # the same bound as on the streams; an event is far smaller
CHUNK: Final = 1024 * 1024  # of a copy
MANIFEST, EVENTS, ARTIFACTS = "manifest.json", "events.ndjson", "artifacts/"
_END: Final = bytes(2 * BLOCK)

Size = Annotated[int, msgspec.Meta(ge=0, le=SIZE_MAX)]


class BundleRefused(Exception):
    """The file is no bundle, or not the one that was written."""


class Piece(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some bytes: their hash, and how many."""

    ref: Ref
    size: Size


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle holds. `missing` were named by events, and nobody had them when it was written.

    `erased` were destroyed in their workspace, and are in none of its bundles; left out where there are none.
    `state_hash` is what the events fold to in the version of the program that is named here. `prefix_of`
    stands in a bundle that was saved from a damaged log, and says how many events there were once.
    """

    format: Literal["moduprompt.bundle"] = "moduprompt.bundle"
    format_version: Literal[1] = 1
    program: str
    workspace_id: Id[WorkspaceId]
    name: Name
    seq: Annotated[int, msgspec.Meta(ge=1, le=SEQ_MAX)]
    head_hash: Ref
    state_hash: Ref
    events: Piece
    artifacts: tuple[Piece, ...]
    missing: tuple[Ref, ...]
    erased: tuple[Ref, ...] | msgspec.UnsetType = msgspec.UNSET
    prefix_of: Annotated[int, msgspec.Meta(ge=1, le=SEQ_MAX)] | msgspec.UnsetType = msgspec.UNSET


class _Told(msgspec.Struct, frozen=True):
    format: str
    format_version: int


class BundleWriter:
    """Writes all but the manifest into a seekable file; `head` is what has to stand before it."""

    def __init__(self, body: BinaryIO) -> None:
        self._body = body
        self._events = blake3()
        self._events_size = 0
        self._artifacts: list[Piece] = []
        body.write(bytes(BLOCK))  # the events' header, known when they are

    def add_events(self, lines: list[bytes]) -> None:
        """The next events, in order, each without its line break."""
        data = b"".join(line + b"\n" for line in lines)
        self._events.update(data)
        self._events_size += len(data)
        self._body.write(data)

    def end_events(self) -> None:
        """There are no more."""
        self._body.write(_padding(self._events_size))
        self._body.seek(0)
        self._body.write(to_header(EVENTS, self._events_size))
        self._body.seek(0, os.SEEK_END)

    def add_artifact(self, ref: ArtifactRef, chunks: Iterable[bytes], *, size: int) -> None:
        """The next artifact, in the order of their names. Raises StorageFailed where it is not the one of its name."""
        self._artifacts.append(Piece(ref=ref, size=size))
        self._body.write(to_header(_place_of(ref), size))
        digest, written = blake3(), 0
        for chunk in chunks:
            digest.update(chunk)
            written += self._body.write(chunk)
        if written != size or f"blake3:{digest.hexdigest()}" != ref:
            raise StorageFailed(f"artifact {ref} has changed while it was read")
        self._body.write(_padding(size))

    def end(self) -> tuple[Piece, tuple[Piece, ...]]:
        """The archive ends here. Gives what the manifest says of events and artifacts."""
        self._body.write(_END)
        self._body.flush()
        events = Piece(ref=ArtifactRef(f"blake3:{self._events.hexdigest()}"), size=self._events_size)
        return events, tuple(self._artifacts)


def to_head(manifest: Manifest) -> bytes:
    """The beginning of the file: the manifest's entry."""
    data = msgspec.json.format(encode(manifest), indent=2) + b"\n"
    return to_header(MANIFEST, len(data)) + data + _padding(len(data))


class Bundle:
    """A bundle whose layout fits its manifest. What the entries hold is looked at when they are read."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises BundleRefused."""
        self._file = file
        file.seek(0)
        self.manifest = _read_manifest(file)
        self._starts: dict[str, int] = {}
        wanted = [(EVENTS, self.manifest.events.size)]
        wanted += [(_place_of(each.ref), each.size) for each in self.manifest.artifacts]
        for name, size in wanted:
            self._starts[name] = _enter(file, name, size)
        if file.read(len(_END) + 1) != _END:
            raise BundleRefused("the archive does not end where its manifest says")

    def lines(self) -> Iterator[bytes]:
        """The events' stored bytes. Raises BundleRefused, at the end where their hash is not the manifest's."""
        digest, left = blake3(), self.manifest.events.size
        self._file.seek(self._starts[EVENTS])
        while left > 0:
            line = self._file.readline(min(left, LINE_BYTES_MAX))
            if not line.endswith(b"\n"):
                raise BundleRefused("a line of the events does not end, or is longer than any event")
            left -= len(line)
            digest.update(line)
            yield line[:-1]
        if f"blake3:{digest.hexdigest()}" != self.manifest.events.ref:
            raise BundleRefused("the events are not the ones that were written")

    def check_artifact(self, piece: Piece) -> None:
        """Its bytes are those of its name. Raises BundleRefused."""
        digest = blake3()
        for data in self.artifact(piece):
            digest.update(data)
        if f"blake3:{digest.hexdigest()}" != piece.ref:
            raise BundleRefused(f"artifact {piece.ref} is not the one that was written")

    def artifact(self, piece: Piece) -> Iterator[bytes]:
        """Its bytes, in chunks; nothing else is read from the bundle meanwhile."""
        left = piece.size
        self._file.seek(self._starts[_place_of(piece.ref)])
        while left > 0 and (data := self._file.read(min(left, CHUNK))):
            yield data
            left -= len(data)


def to_header(name: str, size: int) -> bytes:
    """The one header that an entry of this name and size has."""
    if not 0 <= size <= SIZE_MAX:
        raise BundleRefused(f"{name} has {size} bytes; an entry of a bundle has {SIZE_MAX} at most")
    fields = (
        name.encode().ljust(100, b"\0"),
        b"0000644\0",  # mode
        b"0000000\0" * 2,  # user and group
        b"%011o\0" % size,
        b"%011o\0" % 0,  # time
        b" " * 8,  # the checksum counts itself as spaces
        b"0",  # a plain file
        bytes(100),  # no link
        b"ustar\x0000",
        bytes(64),  # no names of user and group
        b"0000000\0" * 2,  # no device
        bytes(155 + 12),  # no prefix
    )
    header = b"".join(fields)
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def _read_manifest(file: BinaryIO) -> Manifest:
    header = file.read(BLOCK)
    size = _said_size(header)
    if size > MANIFEST_BYTES_MAX or header != to_header(MANIFEST, size):
        raise BundleRefused("it does not begin with the manifest of a bundle")
    data = file.read(size)
    if len(data) != size or file.read(-size % BLOCK) != _padding(size):
        raise BundleRefused("it ends within its manifest")
    told = decode(data, _Told)
    if not isinstance(told, Rejection) and told.format_version > FORMAT_VERSION:
        raise BundleRefused(
            f"it is a bundle of version {told.format_version}; this program knows {FORMAT_VERSION} at most"
        )
    manifest = decode(data, Manifest)
    if isinstance(manifest, Rejection):
        raise BundleRefused(f"its manifest does not fit: {manifest.message}")
    refs = [each.ref for each in manifest.artifacts]
    if refs != sorted(set(refs)) or list(manifest.missing) != sorted(set(manifest.missing) - set(refs)):
        raise BundleRefused("its manifest names artifacts twice or out of order")
    erased = manifest.erased
    if erased is not msgspec.UNSET and list(erased) != sorted(
        set(erased) - set(refs) - set(manifest.missing)
    ):
        raise BundleRefused(
            "its manifest names erased artifacts twice, out of order, or as if they were there"
        )
    return manifest


def _enter(file: BinaryIO, name: str, size: int) -> int:
    """Pass over one entry, which must be this one. Gives where its bytes begin."""
    if file.read(BLOCK) != to_header(name, size):
        raise BundleRefused(f"where {name} should stand there is something else")
    start = file.tell()
    file.seek(start + size)
    if file.read(-size % BLOCK) != _padding(size):
        raise BundleRefused(f"it ends within {name}, or something hides behind it")
    return start


def _said_size(header: bytes) -> int:
    digits = header[124:135]
    if len(header) != BLOCK or not digits.isdigit() or digits.strip(b"01234567"):
        raise BundleRefused("it is no tar archive as bundles are")
    return int(digits, 8)


def _place_of(ref: ArtifactRef) -> str:
    return ARTIFACTS + ref.removeprefix("blake3:")


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)
