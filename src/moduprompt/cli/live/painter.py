"""Repaints a terminal, and leaves it as it was found.

The picture lives on the alternate screen (xterm's mode 1049), so a resize or a picture
that grows can't smear what stood there before; `keep` prints one on the normal screen
after it was left. The cursor comes back whatever ends the painting, an exception too.
Each repaint is one write within a synchronized update (mode 2026), so it does not flicker.
"""

import os
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TextIO, TypeAlias

import msgspec

from moduprompt.cli.live.picture import Size, draw
from moduprompt.cli.live.spans import Line, to_ascii, to_coloured, to_plain
from moduprompt.cli.live.story import Scene

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_BEGIN: Final = "\x1b[?2026h\x1b[H"
_END: Final = "\x1b[J\x1b[?2026l"
_FRESH_LINE: Final = "\x1b[2K"  # before the text: after a full line it would take the last column with it
_FALLBACK: Final = Size(columns=80, rows=24)  # a terminal that does not say its size is a VT100


Drawing: TypeAlias = Callable[[Scene, Size], tuple[Line, ...]]
"""What is painted of a scene, in a size."""


class Ink(msgspec.Struct, frozen=True, kw_only=True):
    """What a terminal can show."""

    has_colours: bool
    has_unicode: bool


class Painter:
    """Paints scenes on one terminal. Use it as a context manager; leaving is safe at any time."""

    def __init__(
        self, stream: TextIO, ink: Ink, *, size: Callable[[], Size] | None = None, drawing: Drawing = draw
    ) -> None:
        self._stream = stream
        self._ink = ink
        self._draw = drawing
        self._size = size if size is not None else self._terminal_size

    def __enter__(self) -> Self:
        self._write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._write(_LEAVE)
        except OSError:
            return  # the terminal is gone; nobody is left to tell

    def paint(self, scene: Scene) -> None:
        """This scene, now, in the size the terminal has now."""
        lines = self._draw(scene, self._size())
        self._write(_BEGIN + "\r\n".join(_FRESH_LINE + self._shown(line) for line in lines) + _END)

    def keep(self, scene: Scene) -> None:
        """This scene on the normal screen, as high as it is."""
        lines = self._draw(scene, Size(columns=self._size().columns))
        self._write("".join(f"{self._shown(line)}\n" for line in lines))

    def _shown(self, line: Line) -> str:
        text = to_coloured(line) if self._ink.has_colours else to_plain(line)
        return text if self._ink.has_unicode else to_ascii(text)

    def _terminal_size(self) -> Size:
        try:
            seen = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return _FALLBACK
        if seen.columns <= 0 or seen.lines <= 0:
            return _FALLBACK
        return Size(columns=seen.columns, rows=seen.lines)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
