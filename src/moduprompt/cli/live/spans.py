"""Lines of styled text, and the two ways out: plain characters, and characters with colours.

A style says what a piece of text means; which colour that is, is decided here alone.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from moduprompt.cli.live.text import cells, fit

Style: TypeAlias = Literal["text", "title", "faint", "good", "busy", "wait", "bad", "mark", "order"]

_SGR: Final[dict[Style, str]] = {
    "text": "",
    "title": "1",
    "faint": "2",
    "good": "32",
    "busy": "36",
    "wait": "33",
    "bad": "31",
    "mark": "35",
    "order": "1;36",  # what a person can type
}
_RESET: Final = "\x1b[0m"
_ASCII: Final = str.maketrans(
    {
        "├": "|", "└": "`", "│": "|", "─": "-", "╌": "~", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
        "●": "*", "○": "o", "◌": ".", "◆": "?", "◇": ".", "■": "#", "✓": "v", "✗": "x", "⛔": "!!",
        "▸": ">", "…": "~", "·": "-", "→": ">", "×": "x", "“": '"', "”": '"', "’": "'",
    }
)  # fmt: skip


class Span(msgspec.Struct, frozen=True):
    """A piece of a line in one style."""

    text: str
    style: Style = "text"


Line: TypeAlias = tuple[Span, ...]


def line_cells(line: Line) -> int:
    """How many columns a line takes."""
    return sum(cells(span.text) for span in line)


def cut(line: Line, width: int) -> Line:
    """The line in at most this many columns."""
    kept: list[Span] = []
    left = width
    if line_cells(line) <= width:
        return line
    for span in line:
        kept.append(Span(fit(span.text, left), span.style))
        left -= cells(span.text)
        if left <= 0:
            break
    return tuple(kept)


def spread(left: Line, right: Line, *, width: int) -> Line:
    """One piece at each end of the line; the left one gives way."""
    room = width - line_cells(right) - 1
    if room <= 0:
        return cut(left, width)
    kept = cut(left, room)
    gap = " " * (width - line_cells(kept) - line_cells(right))
    return (*kept, Span(gap), *right)


def to_plain(line: Line) -> str:
    """Characters only."""
    return "".join(span.text for span in line).rstrip()


def to_coloured(line: Line) -> str:
    """Characters with SGR codes (ECMA-48), each style switched off again."""
    return "".join(_coloured(span) for span in line)


def _coloured(span: Span) -> str:
    code = _SGR[span.style]
    return f"\x1b[{code}m{span.text}{_RESET}" if code and span.text else span.text


def to_ascii(text: str) -> str:
    """For a terminal without the signs: each in as many columns as before."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
