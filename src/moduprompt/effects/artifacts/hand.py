"""Destroys what was erased: the bytes in the workspace's folder, and what its runs keep of them."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from moduprompt.domain.artifact.intents import EraseBytes
from moduprompt.domain.decider import Intent
from moduprompt.kernel.ports import ArtifactStore
from moduprompt.protocol import RunId


class EraseHand:
    """Removes names and syncs their folders. What is gone already is found so."""

    handles: tuple[type[Intent], ...] = (EraseBytes,)

    def __init__(
        self, artifacts: ArtifactStore, *, run_dir: Callable[[RunId], Path], recording: str, prompt: str
    ) -> None:
        self._artifacts = artifacts
        self._run_dir = run_dir
        self._recording = recording
        self._prompt = prompt

    async def carry_out(self, intent: Intent) -> bool:
        """Destroy all of it. Raises StorageFailed or OSError: then it is tried again."""
        assert isinstance(intent, EraseBytes), f"BUG: {type(intent).__name__} erases nothing"
        await self._artifacts.erase(intent.workspace_id, intent.ref)
        copies = [self._run_dir(run_id) / self._prompt for run_id in intent.prompt_of]
        if intent.recording_of is not None:
            copies.append(self._run_dir(intent.recording_of) / self._recording)
        await asyncio.to_thread(_remove, copies)
        return True


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
