"""Files beside the database: where an artifact lies, how a file becomes durable, what the system's errors mean."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from moduprompt.protocol import ArtifactRef, WorkspaceId
from moduprompt.storage.port import StorageFailed, StorageFull

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})


def artifact_path(folder: Path, workspace_id: WorkspaceId, ref: ArtifactRef) -> Path:
    """Where the bytes of a name lie, if they do: `<folder>/<workspace>/<first two of the hash>/<the hash>`."""
    digest = ref.removeprefix("blake3:")
    return folder / workspace_id / digest[:2] / digest


def sync(path: Path) -> None:
    """A file or a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_faults(path: Path) -> Generator[None]:
    """Say the system's errors as the port says them."""
    try:
        yield
    except OSError as fault:
        kind = StorageFull if fault.errno in NO_ROOM else StorageFailed
        raise kind(f"{fault.filename or path}: {fault.strerror or fault}") from fault
