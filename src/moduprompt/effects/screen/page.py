"""One page of a terminal: its lines, its cursor, its scrolling region.

A terminal has two, the main one and the alternate one of full-screen programs. The cursor keeps the
"last column" state of DEC's terminals: after a character in the last column it stays there, and only
the next character wraps.
"""

from typing import Final

import msgspec

from moduprompt.effects.screen.grid import PLAIN, Row, Style

TAB_COLS: Final = 8


class Cursor(msgspec.Struct, kw_only=True):
    """Where the next character goes, and how it looks."""

    x: int = 0
    y: int = 0
    is_past_end: bool = False  # the last column is written; the next character wraps first
    style: Style = PLAIN
    is_in_region: bool = False  # origin mode: lines count from the region's top, and it can't be left
    draws: tuple[bool, bool] = (False, False)  # whether G0 and G1 hold the line drawing set
    shift: int = 0  # which of both is in use


class Page:
    """Lines of cells. Coordinates count from 0; whoever calls keeps them inside, except where said."""

    def __init__(self, rows: int, cols: int) -> None:
        self.lines = [Row(cols) for _ in range(rows)]
        self.cols = cols
        self.cursor = Cursor()
        self.saved = Cursor()
        self.top = 0
        self.bottom = rows - 1  # the region's last line

    @property
    def line(self) -> Row:
        """The cursor's line."""
        return self.lines[self.cursor.y]

    @property
    def erased(self) -> Style:
        """How erased cells look: they keep the background in use."""
        return Style(background=self.cursor.style.background)

    def move_to(self, x: int, y: int) -> None:
        """The cursor's new place, of any numbers: what lies outside becomes the border."""
        low, high = (self.top, self.bottom) if self.cursor.is_in_region else (0, len(self.lines) - 1)
        self.cursor.x = min(max(x, 0), self.cols - 1)
        self.cursor.y = min(max(y, low), high)
        self.cursor.is_past_end = False

    def move_by(self, lines: int) -> None:
        """Up or down, not across the region's border when the cursor is inside of it."""
        y = self.cursor.y
        low = self.top if y >= self.top else 0
        high = self.bottom if y <= self.bottom else len(self.lines) - 1
        self.cursor.y = min(max(y + lines, low), high)
        self.cursor.is_past_end = False

    def place(self, x: int, y: int) -> None:
        """To coordinates as sequences give them, counted from the region's top in origin mode."""
        self.move_to(x, y + (self.top if self.cursor.is_in_region else 0))

    def index(self) -> None:
        """Down one line; at the region's bottom the region scrolls."""
        if self.cursor.y == self.bottom:
            self.scroll_up(1)
        elif self.cursor.y < len(self.lines) - 1:
            self.cursor.y += 1
        self.cursor.is_past_end = False

    def reverse_index(self) -> None:
        """Up one line; at the region's top the region scrolls."""
        if self.cursor.y == self.top:
            self.scroll_down(1)
        elif self.cursor.y > 0:
            self.cursor.y -= 1
        self.cursor.is_past_end = False

    def scroll_up(self, count: int, *, first: int | None = None) -> None:
        """Lines leave at the region's top, or at `first`; blank ones come at its bottom."""
        start = self.top if first is None else first
        count = min(count, self.bottom - start + 1)
        del self.lines[start : start + count]
        self.lines[self.bottom - count + 1 : self.bottom - count + 1] = self._blanks(count)

    def scroll_down(self, count: int, *, first: int | None = None) -> None:
        """Lines leave at the region's bottom; blank ones come at its top, or at `first`."""
        start = self.top if first is None else first
        count = min(count, self.bottom - start + 1)
        del self.lines[self.bottom - count + 1 : self.bottom + 1]
        self.lines[start:start] = self._blanks(count)

    def erase_lines(self, first: int, end: int) -> None:
        """Blank whole lines."""
        self.lines[first:end] = self._blanks(max(end - first, 0))

    def set_region(self, top: int, bottom: int) -> None:
        """The lines that scroll; fewer than two are none. The cursor goes home."""
        bottom = min(bottom, len(self.lines) - 1)
        if 0 <= top < bottom:
            self.top, self.bottom = top, bottom
            self.place(0, 0)

    def save(self) -> None:
        """Keep the cursor."""
        self.saved = msgspec.structs.replace(self.cursor)

    def restore(self) -> None:
        """The cursor that was kept; home where none was."""
        self.cursor = msgspec.structs.replace(self.saved)
        past_end = self.cursor.is_past_end
        self.move_to(self.cursor.x, self.cursor.y)
        self.cursor.is_past_end = past_end

    def resize(self, rows: int, cols: int) -> None:
        """Lines leave at the top while the cursor would fall out; nothing is wrapped anew."""
        surplus = len(self.lines) - rows
        above = min(max(self.cursor.y - rows + 1, 0), max(surplus, 0))
        del self.lines[:above]
        del self.lines[rows:]
        self.lines += [Row(self.cols) for _ in range(rows - len(self.lines))]
        for line in self.lines:
            line.resize(cols)
        self.cols = cols
        self.top, self.bottom = 0, rows - 1
        self.move_to(self.cursor.x, self.cursor.y - above)

    def _blanks(self, count: int) -> list[Row]:
        return [Row(self.cols, self.erased) for _ in range(count)]
