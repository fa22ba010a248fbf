"""Where a workspace is shown: painted in a terminal, or told line by line in a pipe.

A pipe, and a terminal that calls itself dumb, get lines. NO_COLOR (no-color.org) takes
the colours, an encoding without the signs takes them to ASCII.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from moduprompt.cli.live.lines import to_line
from moduprompt.cli.live.painter import Drawing, Ink, Painter
from moduprompt.cli.live.picture import draw
from moduprompt.cli.live.spans import to_ascii
from moduprompt.cli.live.story import Story
from moduprompt.protocol import EventEnvelope

_SIGNS: Final = "├╌●◆✓⛔“…"  # one of each kind that a picture is made of


class Show(AbstractContextManager["Show"], Protocol):
    """Takes events and shows them until it is left."""

    def tell(self, envelope: EventEnvelope) -> None:
        """One more event; told twice, it counts once."""
        ...

    def refresh(self) -> None:
        """Show how things stand now, where that was not done yet."""
        ...


class TerminalShow:
    """Paints. Events between two refreshes make one picture, that of the last of them.

    When it is left, also by an interrupt, how things stood last stays on the screen.
    """

    def __init__(self, painter: Painter) -> None:
        self.story = Story()
        self._painter = painter

    def __enter__(self) -> Self:
        self._painter.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._painter.__exit__(kind, fault, trace)
        if self.story.seq and not isinstance(fault, OSError):  # such a fault is the terminal's own
            self._painter.keep(self.story.scene())

    def tell(self, envelope: EventEnvelope) -> None:
        """One more event."""
        self.story.tell(envelope)

    def refresh(self) -> None:
        """Repaint. Of a workspace that nothing was told of there is no picture."""
        if self.story.seq:
            self._painter.paint(self.story.scene())


class LineShow:
    """Prints a line a change, at once; of some kinds of subjects only where these are named."""

    def __init__(self, stream: TextIO, *, has_unicode: bool, kinds: frozenset[str] | None = None) -> None:
        self.story = Story()
        self._kinds = kinds
        self._stream = stream
        self._has_unicode = has_unicode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def tell(self, envelope: EventEnvelope) -> None:
        """One more event."""
        change = self.story.tell(envelope)
        if change is not None and (self._kinds is None or envelope.subject.kind in self._kinds):
            line = to_line(change)
            self._stream.write((line if self._has_unicode else to_ascii(line)) + "\n")

    def refresh(self) -> None:
        """Let the reader at the other end have it."""
        self._stream.flush()


def open_show(
    stream: TextIO,
    environ: Mapping[str, str],
    *,
    drawing: Drawing = draw,
    kinds: frozenset[str] | None = None,
) -> Show:
    """The show that fits the stream: `drawing` is what a terminal gets, `kinds` whose lines a pipe gets."""
    has_unicode = _has_signs(stream.encoding)
    if not stream.isatty() or environ.get("TERM", "dumb") in ("", "dumb"):
        return LineShow(stream, has_unicode=has_unicode, kinds=kinds)
    ink = Ink(has_colours=not environ.get("NO_COLOR"), has_unicode=has_unicode)
    return TerminalShow(Painter(stream, ink, drawing=drawing))


def _has_signs(encoding: str | None) -> bool:
    try:
        _SIGNS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
