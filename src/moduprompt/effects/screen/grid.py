"""The cells of a screen: rows of characters with their styles.

A wide character stands in its left cell; its right cell holds the empty string. Whatever overwrites or
cuts one half blanks the other, so no half is ever left.
"""

from enum import IntFlag
from typing import Final

import msgspec

BLANK: Final = " "
DEFAULT: Final = -1  # the terminal's own colour; 0 to 255 are the palette's
RGB: Final = 0x1000000  # set on a colour of 24 bits


class Weight(IntFlag):
    """How a character is drawn, beside its colours."""

    BOLD = 1
    DIM = 2
    ITALIC = 4
    UNDERLINE = 8
    BLINK = 16
    REVERSE = 32
    HIDDEN = 64
    STRIKE = 128


class Style(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Colours and weights of a cell."""

    foreground: int = DEFAULT
    background: int = DEFAULT
    weight: int = 0


PLAIN: Final = Style()


class Row:
    """One line of cells."""

    __slots__ = ("chars", "styles")

    def __init__(self, cols: int, style: Style = PLAIN) -> None:
        self.chars = [BLANK] * cols
        self.styles = [style] * cols

    def write(self, x: int, chars: list[str], style: Style) -> None:
        """Put these cells from `x` on; they must fit."""
        end = x + len(chars)
        self._split(x)
        self._split(end)
        self.chars[x:end] = chars
        self.styles[x:end] = [style] * len(chars)

    def erase(self, x: int, end: int, style: Style) -> None:
        """Blank the cells from `x` to before `end`."""
        if x < end:
            self.write(x, [BLANK] * (end - x), style)

    def insert(self, x: int, count: int, style: Style) -> None:
        """Push the cells from `x` on to the right; what leaves the line is lost."""
        cols = len(self.chars)
        count = min(count, cols - x)
        self._split(x)
        self._split(cols - count)
        self.chars[x:] = [BLANK] * count + self.chars[x : cols - count]
        self.styles[x:] = [style] * count + self.styles[x : cols - count]

    def delete(self, x: int, count: int, style: Style) -> None:
        """Take cells out at `x`; the rest moves left."""
        cols = len(self.chars)
        count = min(count, cols - x)
        self._split(x)
        self._split(x + count)
        self.chars[x:] = self.chars[x + count :] + [BLANK] * count
        self.styles[x:] = self.styles[x + count :] + [style] * count

    def append(self, x: int, mark: str, *, chars_max: int) -> None:
        """Lay a combining mark over the character at `x`, or at its left half."""
        if self.chars[x] == "" and x > 0:
            x -= 1
        if len(self.chars[x]) < chars_max:
            self.chars[x] += mark

    def resize(self, cols: int) -> None:
        """Cut or fill the line at its right end."""
        have = len(self.chars)
        if cols < have:
            self._split(cols)
            del self.chars[cols:]
            del self.styles[cols:]
        else:
            self.chars += [BLANK] * (cols - have)
            self.styles += [PLAIN] * (cols - have)

    def text(self) -> str:
        """What stands there, without the blanks at its end."""
        return "".join(self.chars).rstrip(BLANK)

    def _split(self, x: int) -> None:
        """Leave no wide character across the border before `x`."""
        if 0 < x < len(self.chars) and self.chars[x] == "":
            self.chars[x - 1] = self.chars[x] = BLANK
