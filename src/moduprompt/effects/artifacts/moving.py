"""Moves what an older version kept for all workspaces into the folder of each that names it.

Done before anything reads: linked, synced, and only then is the old name removed. A crash in
the middle costs nothing, the next start goes on.
"""

import asyncio
import os
import re
from pathlib import Path
from shutil import rmtree
from typing import Final

from moduprompt.kernel.transfer import refs_in
from moduprompt.protocol import ArtifactRef, WorkspaceId, decode_event
from moduprompt.storage.port import EventLog

PAGE: Final = 500  # events of one step: half a megabyte in memory
SHARED: Final = re.compile(r"[0-9a-f]{2}")  # a folder of the older version's


async def give_each_its_own(folder: Path, event_log: EventLog) -> None:
    """Nothing lies beside the workspaces' folders when this returns. Raises StorageFailed or OSError."""
    shared = await asyncio.to_thread(_shared_folders, folder)
    if not shared:
        return
    for head in await event_log.heads():
        after = 0
        while page := await event_log.read(head.workspace_id, after=after, limit=PAGE):
            refs = {ref for each in page for ref in refs_in(decode_event(each.data))}
            await asyncio.to_thread(_link, folder, head.workspace_id, refs)
            after = page[-1].seq
    await asyncio.to_thread(_remove, folder, shared)


def _shared_folders(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if SHARED.fullmatch(each.name)] if folder.is_dir() else []


def _link(folder: Path, workspace_id: WorkspaceId, refs: set[ArtifactRef]) -> None:
    home = folder / workspace_id
    for ref in refs:
        digest = ref.removeprefix("blake3:")
        old, new = folder / digest[:2] / digest, home / digest[:2] / digest
        if old.is_file() and not new.exists():
            for each in (home, new.parent):
                each.mkdir(mode=0o700, exist_ok=True)
            os.link(old, new)
            for each in (new.parent, home, folder):
                _sync(each)


def _remove(folder: Path, shared: list[Path]) -> None:
    for each in shared:
        rmtree(each)  # what no event names was never handed out
    _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
