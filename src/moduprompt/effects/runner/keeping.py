"""Keeps the recording of a run that is over: packed, as an artifact, and in its folder under its old name.

A recording that can't be read must not keep a run from being over: what there is is kept, or nothing, and the daemon's
log says why. A disk without room is another thing: it gets room again, so whoever asked comes again.
"""

import asyncio
import errno
import logging
import os
from pathlib import Path
from typing import Final

from moduprompt.effects.artifacts.folder import NO_ROOM, FolderArtifacts
from moduprompt.effects.runner.packing import packed_beside
from moduprompt.keeper.recording import RecordingError
from moduprompt.protocol import ArtifactRef, WorkspaceId
from moduprompt.storage.port import StorageFailed

PASSES: Final = NO_ROOM | {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}  # it is not the recording that is at fault

log = logging.getLogger(__name__)


async def keep_recording(
    artifacts: FolderArtifacts, workspace_id: WorkspaceId, path: Path
) -> ArtifactRef | None:
    """Its name as an artifact; None where there is none that could be kept. Raises StorageFailed, OSError: come again."""
    if not _is_there(path):
        return None
    try:
        packed = await asyncio.to_thread(packed_beside, path)
    except RecordingError as fault:  # whatever it is, it is what there is
        log.warning("recording.unreadable", extra={"path": str(path), "fault": str(fault)})
        return await _kept_as_it_is(artifacts, workspace_id, path)
    except OSError as fault:
        raise_what_passes(fault)
        log.warning("recording.lost", extra={"path": str(path), "fault": str(fault)})
        return None
    ref = await artifacts.put_file(workspace_id, packed)
    await asyncio.to_thread(os.replace, packed, path)  # only now: until here the raw one is all there is
    return ref


def _is_there(path: Path) -> bool:
    return path.is_file()


def passes(fault: BaseException) -> bool:
    """Whether coming again may not meet it: it lies in what the machine lacks now, not in what is read."""
    return isinstance(fault, OSError) and fault.errno in PASSES


def raise_what_passes(fault: RecordingError | OSError) -> None:
    """Raise it again where coming again may not meet it."""
    if passes(fault):
        raise fault


async def _kept_as_it_is(
    artifacts: FolderArtifacts, workspace_id: WorkspaceId, path: Path
) -> ArtifactRef | None:
    try:
        return await artifacts.put_file(workspace_id, path)
    except StorageFailed as fault:
        cause = fault.__cause__
        if not isinstance(cause, OSError):
            raise
        raise_what_passes(cause)
        log.warning("recording.lost", extra={"path": str(path), "fault": str(fault)})
        return None
