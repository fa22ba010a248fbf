"""What a run's terminal printed, for readers: recorded, and live."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from moduprompt.effects.runner.attachment import Attachment, Picture, draw
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.port import Author, Backend, Gone, LinkClosedError, RunLink, Unreachable
from moduprompt.effects.runner.recording import Output, RecordingReader
from moduprompt.keeper.recording import RECORDING_NAME, RecordingError
from moduprompt.protocol import Code, Refused, refusal

PIECE_BYTES: Final = 256 * 1024  # of recorded output in one step: a frame may be a single byte


class LocalTerminals:
    """The `Terminals` of runs on this machine."""

    def __init__(self, backend: Backend, composers: Composers) -> None:
        self._backend = backend
        self._composers = composers

    def recording(self, run_id: str) -> Path | None:
        """Where the recording lies, if there is one."""
        path = self._backend.run_dir(run_id) / RECORDING_NAME
        return path if path.is_file() else None

    def raw(self, path: Path) -> AsyncGenerator[bytes]:
        """The recording's bytes as its keeper wrote them, packed or not."""
        return _raw(path)

    def recorded(self, path: Path, start: int) -> AsyncGenerator[bytes]:
        """Output from byte `start` on, as far as it is recorded."""
        return _recorded(path, start)

    async def live(self, run_id: str, start: int) -> AsyncGenerator[bytes] | None:
        """Output from byte `start` on until the run ends, never an empty piece; None where nobody keeps it."""
        found = await self._backend.dial(run_id)
        if isinstance(found, Gone | Unreachable):
            return None
        return _live(found, start)

    async def picture(self, run_id: str) -> Picture:
        """What stands on its screen now."""
        return await draw(self.recording(run_id))

    async def attach(self, run_id: str, *, user_id: str) -> Attachment | None:
        """A seat at its terminal; None where nobody keeps the run any more. Raises Refused while its keeper is silent."""
        watching = _answering(await self._backend.dial(run_id))
        if watching is None:
            return None
        async with AsyncExitStack() as undo:
            undo.push_async_callback(watching.close)
            control = _answering(await self._backend.dial(run_id))
            if control is None:
                return None
            undo.pop_all()
        author = Author(kind="user", id=user_id)
        return Attachment(watching, control, author=author, composers=self._composers)


def _answering(found: RunLink | Unreachable | Gone) -> RunLink | None:
    if isinstance(found, Unreachable):
        raise Refused(
            refusal(
                Code.UNAVAILABLE,
                f"the keeper of run {found.run_id} does not answer; the run may go on",
                hint=f"mpctl run show {found.run_id} says since when",
                details={"evidence": found.evidence},
            )
        )
    return None if isinstance(found, Gone) else found


async def _raw(path: Path) -> AsyncGenerator[bytes]:
    with suppress(RecordingError, FileNotFoundError), RecordingReader(path) as reader:
        pieces = reader.raw()
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece


async def _recorded(path: Path, start: int) -> AsyncGenerator[bytes]:
    """Read in another thread: a recording is as long as its program was talkative."""
    with suppress(RecordingError, FileNotFoundError), RecordingReader(path) as reader:
        pieces = _pieces(reader, start)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece


def _pieces(reader: RecordingReader, start: int) -> Iterator[bytes]:
    piece = bytearray()
    for frame in reader.frames_from(start):
        if isinstance(frame, Output) and frame.offset + len(frame.data) > start:
            piece += frame.data[max(0, start - frame.offset) :]
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


async def _live(link: RunLink, start: int) -> AsyncGenerator[bytes]:
    async with link:
        with suppress(LinkClosedError, ValueError):  # the keeper is gone, or the offset is still to come
            async for chunk in link.output(start):
                if chunk.data:
                    yield chunk.data
