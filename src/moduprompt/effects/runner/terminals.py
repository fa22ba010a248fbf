"""What a run's terminal printed, for readers: recorded, and live."""

from collections.abc import AsyncIterator
from pathlib import Path

from moduprompt.effects.runner.hand import RECORDING_NAME
from moduprompt.effects.runner.port import Backend, Gone, LinkClosedError, RunLink, Unreachable
from moduprompt.effects.runner.recording import Output, RecordingReader


class LocalTerminals:
    """The `Terminals` of runs on this machine."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def recording(self, run_id: str) -> Path | None:
        """Where the recording lies, if there is one."""
        path = self._backend.run_dir(run_id) / RECORDING_NAME
        return path if path.is_file() else None

    def recorded(self, path: Path, start: int) -> AsyncIterator[bytes]:
        """Output from byte `start` on, as far as it is recorded."""
        return _recorded(path, start)

    async def live(self, run_id: str, start: int) -> AsyncIterator[bytes] | None:
        """Output from byte `start` on until the run ends; None where nobody keeps it any more."""
        found = await self._backend.dial(run_id)
        if isinstance(found, Gone | Unreachable):
            return None
        return _live(found, start)


async def _recorded(path: Path, start: int) -> AsyncIterator[bytes]:
    with RecordingReader(path) as reader:
        for frame in reader.frames():
            if isinstance(frame, Output) and frame.offset + len(frame.data) > start:
                yield frame.data[max(0, start - frame.offset) :]


async def _live(link: RunLink, start: int) -> AsyncIterator[bytes]:
    async with link:
        try:
            async for chunk in link.output(start):
                yield chunk.data
        except (LinkClosedError, ValueError):
            return
