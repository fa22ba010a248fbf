"""A person at a run's terminal: the picture first, then every byte, and keys back.

Two links to the keeper: one carries output and may be slow, the other carries keys and sizes. The
picture is drawn from the recording, so that a full-screen program is seen whole at once; of a long
recording only its end is drawn, and a program draws itself again when the size changes.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.moments import COLS, ROWS, moment_at
from moduprompt.effects.runner.recording import RecordingReader
from moduprompt.effects.screen.painting import repaint
from moduprompt.keeper.recording import RecordingError


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What stood on the screen after `offset` bytes of output, as bytes that draw it."""

    offset: int
    rows: int
    cols: int
    data: bytes


class Attachment:
    """One seat at a run's terminal. An async context manager. What breaks ends the output."""

    def __init__(
        self, watching: port.RunLink, control: port.RunLink, *, author: port.Author, composers: Composers
    ) -> None:
        self._watching = watching
        self._control = control
        self._author = author
        self._composers = composers
        self.run_id = control.welcome.run_id
        self.has_lost_keeper = False  # it lives and does not answer: nobody knows whether the run goes on

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._composers.let_go(self.run_id, self)
        await self._watching.close()
        await self._control.close()

    def take_keyboard(self) -> str | None:
        """None where this seat types from now on; else the id of who does."""
        holder = self._composers.take(self.run_id, self, self._author)
        return None if holder is None else holder.id

    async def output(self, start: int, *, is_typing: bool) -> AsyncGenerator[bytes]:
        """Every byte from `start` on, never an empty piece, until the run has ended or its keeper is gone."""
        try:
            async for chunk in self._watching.output(start, answers_terminal=is_typing):
                if chunk.data:
                    yield chunk.data
        except port.KeeperSilentError:
            self.has_lost_keeper = True
        except (port.LinkClosedError, ValueError):  # ValueError: the offset is still to come
            return

    async def type(self, keys: bytes) -> str | None:
        """Keys as they came; None when the terminal has them, else why not."""
        async with self._composers.turn(self.run_id):
            try:
                typed = await self._control.send_input(keys, author=self._author, input_id=None)
            except port.KeeperSilentError as fault:
                return f"{fault}; what was typed may still arrive"
            except port.LinkClosedError as fault:
                return str(fault)
            if isinstance(typed, port.RequestRefused):
                return typed.message
            self._composers.typed(self.run_id, keys, self._author)
        return None

    async def resize(self, *, rows: int, cols: int) -> None:
        """The window of whoever types has this size."""
        with suppress(port.LinkClosedError):  # the output's end tells
            await self._control.resize(rows=rows, cols=cols)


async def draw(recording: Path | None) -> Picture:
    """The picture now, as far as it is recorded. Never fails: without a recording it is empty."""
    empty = Picture(offset=0, rows=ROWS, cols=COLS, data=b"")
    if recording is None:
        return empty
    with suppress(RecordingError, OSError):
        return await asyncio.to_thread(_drawn, recording)
    return empty


def _drawn(recording: Path) -> Picture:
    with RecordingReader(recording) as reader:
        now = moment_at(reader)  # what comes while we draw is told by the keeper
    screen = now.screen
    return Picture(offset=now.offset, rows=screen.rows, cols=screen.cols, data=repaint(screen))
