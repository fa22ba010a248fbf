"""Artifacts in a folder: `<folder>/<workspace>/<first two of the hash>/<the hash>`.

Each workspace has its own: what is erased in one is not taken from another, and none can
learn what another has. Written to a temporary name, synced, renamed, and the folders synced,
before the name is handed out: an event never names bytes that a power cut can take. Files are
read-only for their owner and nobody else. What is read is hashed again: damage is never
served. Nothing is held in memory but chunks, unless somebody asks for the whole.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from blake3 import blake3

from moduprompt.kernel.ports import Opened
from moduprompt.protocol import ArtifactRef, WorkspaceId
from moduprompt.storage.port import StorageFailed, StorageFull

CHUNK: Final = 1024 * 1024  # of a copy: a recording may be larger than memory
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
TEMPORARY: Final = ".new-"


class FolderArtifacts:
    """An `ArtifactStore` on a disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, workspace_id: WorkspaceId, data: bytes) -> ArtifactRef:
        """Keep the bytes."""
        return await self.put_chunks(workspace_id, (data,))

    async def put_chunks(self, workspace_id: WorkspaceId, chunks: Iterable[bytes]) -> ArtifactRef:
        """Keep what comes, piece by piece, on another thread."""
        return await asyncio.to_thread(self._keep, workspace_id, lambda: iter(chunks))

    async def put_file(self, workspace_id: WorkspaceId, path: Path) -> ArtifactRef:
        """Keep a copy of a file, whatever its size."""
        return await asyncio.to_thread(self._keep, workspace_id, lambda: _chunks(path))

    async def get(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> bytes | None:
        """The bytes at once, or None: for texts, which are small."""
        opened = await self.open(workspace_id, ref)
        return None if opened is None else await asyncio.to_thread(b"".join, opened.chunks)

    async def open(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> Opened | None:
        """The bytes in chunks, checked before the first is handed out; None where there are none."""
        path = self.path_of(workspace_id, ref)
        size = await asyncio.to_thread(_checked_size, path, ref)
        return None if size is None else Opened(size=size, chunks=_chunks(path))

    async def erase(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> None:
        """The bytes are gone from the disk's names when this returns; erasing twice is fine."""
        await asyncio.to_thread(self._erase, workspace_id, ref)

    def path_of(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> Path:
        """Where the bytes of a name lie, if they do."""
        digest = ref.removeprefix("blake3:")
        return self._folder / workspace_id / digest[:2] / digest

    def sweep(self) -> None:
        """Remove what was being written when a daemon died: it has no name, and may be a text to be erased."""
        for temporary in self._folder.glob(f"{TEMPORARY}*"):
            temporary.unlink(missing_ok=True)

    def _keep(self, workspace_id: WorkspaceId, chunks: Callable[[], Iterator[bytes]]) -> ArtifactRef:
        try:
            return self._write(workspace_id, chunks())
        except OSError as fault:
            kind = StorageFull if fault.errno in NO_ROOM else StorageFailed
            raise kind(f"{self._folder}: {fault}") from fault

    def _write(self, workspace_id: WorkspaceId, chunks: Iterator[bytes]) -> ArtifactRef:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = blake3()
        with NamedTemporaryFile(dir=self._folder, prefix=TEMPORARY, delete=False) as file:
            temporary = Path(file.name)
            try:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                return self._publish(temporary, workspace_id, ArtifactRef(f"blake3:{digest.hexdigest()}"))
            finally:
                temporary.unlink(missing_ok=True)

    def _publish(self, temporary: Path, workspace_id: WorkspaceId, ref: ArtifactRef) -> ArtifactRef:
        final = self.path_of(workspace_id, ref)
        home = final.parent.parent
        home.mkdir(mode=0o700, exist_ok=True)
        final.parent.mkdir(mode=0o700, exist_ok=True)
        # One that is there is as good, unless something has damaged it since.
        if not final.is_file() or final.stat().st_size != temporary.stat().st_size:
            temporary.chmod(0o400)
            temporary.replace(final)
        # Also where it was there: whoever put it may not have come this far.
        for folder in (final.parent, home, self._folder):
            _sync(folder)
        return ref

    def _erase(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> None:
        path = self.path_of(workspace_id, ref)
        try:
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                _sync(path.parent)  # also where it was gone: whoever removed it may not have come this far
        except OSError as fault:
            raise StorageFailed(f"{path}: {fault}") from fault


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked_size(path: Path, ref: ArtifactRef) -> int | None:
    digest, size = blake3(), 0
    try:
        for chunk in _chunks(path):
            digest.update(chunk)
            size += len(chunk)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise StorageFailed(f"{path}: {fault}") from fault
    if f"blake3:{digest.hexdigest()}" != ref:
        raise StorageFailed(f"{path} is damaged: its bytes are not those of its name")
    return size


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
