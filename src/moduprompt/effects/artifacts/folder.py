"""Artifacts in a folder: `<folder>/<first two of the hash>/<the hash>`.

Written to a temporary name, synced, renamed, and the folder synced, before the name is
handed out: an event never names bytes that a power cut can take. Files are read-only
for their owner and nobody else. What is read is hashed again: damage is never served.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from blake3 import blake3

from moduprompt.protocol import ArtifactRef
from moduprompt.storage.files import NO_ROOM, artifact_path
from moduprompt.storage.port import StorageFailed, StorageFull

CHUNK: Final = 1024 * 1024  # of a copy: a recording may be larger than memory


class FolderArtifacts:
    """An `ArtifactStore` on a disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, data: bytes) -> ArtifactRef:
        """Keep the bytes."""
        return await asyncio.to_thread(self._keep, lambda: iter((data,)))

    async def put_file(self, path: Path) -> ArtifactRef:
        """Keep a copy of a file, whatever its size."""
        return await asyncio.to_thread(self._keep, lambda: _chunks(path))

    async def get(self, ref: ArtifactRef) -> bytes | None:
        """The bytes, or None."""
        return await asyncio.to_thread(self._read, ref)

    def path_of(self, ref: ArtifactRef) -> Path:
        """Where the bytes of a name lie, if they do."""
        return artifact_path(self._folder, ref)

    def _keep(self, chunks: Callable[[], Iterator[bytes]]) -> ArtifactRef:
        try:
            return self._write(chunks())
        except OSError as fault:
            kind = StorageFull if fault.errno in NO_ROOM else StorageFailed
            raise kind(f"{self._folder}: {fault}") from fault

    def _write(self, chunks: Iterator[bytes]) -> ArtifactRef:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = blake3()
        with NamedTemporaryFile(dir=self._folder, prefix=".new-", delete=False) as file:
            temporary = Path(file.name)
            try:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                return self._publish(temporary, ArtifactRef(f"blake3:{digest.hexdigest()}"))
            finally:
                temporary.unlink(missing_ok=True)

    def _publish(self, temporary: Path, ref: ArtifactRef) -> ArtifactRef:
        final = self.path_of(ref)
        final.parent.mkdir(mode=0o700, exist_ok=True)
        # One that is there is as good, unless something has damaged it since.
        if not final.is_file() or final.stat().st_size != temporary.stat().st_size:
            temporary.chmod(0o400)
            temporary.replace(final)
        # Also where it was there: whoever put it may not have come this far.
        for folder in (final.parent, self._folder):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return ref

    def _read(self, ref: ArtifactRef) -> bytes | None:
        path = self.path_of(ref)
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise StorageFailed(f"{path}: {fault}") from fault
        if f"blake3:{blake3(found).hexdigest()}" != ref:
            raise StorageFailed(f"{path} is damaged: its bytes are not those of its name")
        return found


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
