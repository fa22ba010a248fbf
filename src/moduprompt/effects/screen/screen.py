"""A terminal without a window: takes a program's output, knows what stands on the screen.

Follows ECMA-48 and what xterm makes of it (invisible-island.net/xterm/ctlseqs), as far as it can be
seen in cells, cursor, title and modes. It answers nothing and rings no bell: the recording's keeper
has answered already. The same bytes give the same screen, however they are cut.
"""

from functools import lru_cache
from typing import Final
from unicodedata import combining

from moduprompt.effects.screen.editing import EDITS
from moduprompt.effects.screen.grid import Row, Style
from moduprompt.effects.screen.page import TAB_COLS, Cursor, Page
from moduprompt.effects.screen.sequences import Control, Csi, Cutter, Escape, String, Text

SIDE_MAX: Final = 1_000  # rows or columns: beyond any window; a hostile size costs no more than this
MARKS_MAX: Final = 8  # combining characters over one character; more are dropped
TITLE_MAX: Final = 256  # characters of a title worth showing

_DRAWN: Final = str.maketrans("`afgjklmnopqrstuvwxyz{|}~", "◆▒°±┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")

# Private modes, by xterm's numbers.
CURSOR_KEYS, ORIGIN, WRAP, CURSOR_SHOWN, SAVED_CURSOR, ALTERNATE = 1, 6, 7, 25, 1048, 1049
MODES_AT_START: Final = frozenset({WRAP, CURSOR_SHOWN})
MODES_MAX: Final = 64  # set at once; some thirty have a meaning
_INSERT: Final = 4  # of the modes without a private mark
_ALTERNATES: Final = (47, 1047, ALTERNATE)


class Screen:
    """What a person would see after the bytes so far."""

    def __init__(self, rows: int, cols: int) -> None:
        self._cutter = Cutter()
        self._start(_side(rows), _side(cols))

    @property
    def rows(self) -> int:
        """Lines of the window."""
        return len(self.page.lines)

    @property
    def cols(self) -> int:
        """Columns of the window."""
        return self.page.cols

    @property
    def is_alternate(self) -> bool:
        """Whether a full-screen program has the screen."""
        return self.page is self._alternate

    @property
    def lines(self) -> list[Row]:
        """The cells, top line first. Not to be changed."""
        return self.page.lines

    @property
    def cursor(self) -> tuple[int, int]:
        """(line, column), from 0."""
        return self.page.cursor.y, self.page.cursor.x

    @property
    def modes(self) -> frozenset[int]:
        """The private modes that are set, by xterm's numbers: 25 cursor shown, 2004 bracketed paste, …"""
        return frozenset(self._modes)

    def feed(self, data: bytes) -> None:
        """Some more output."""
        for token in self._cutter.feed(data):
            match token:
                case Text():
                    self._show(token.value)
                case Control():
                    self._control(token.value)
                case Csi():
                    self._csi(token)
                case Escape():
                    self._escape(token)
                case String():
                    self._string(token.value)

    def resize(self, rows: int, cols: int) -> None:
        """The window has another size now."""
        for page in (self._main, self._alternate):
            page.resize(_side(rows), _side(cols))
        self._tabs = _tabs(self.cols)

    def text(self) -> list[str]:
        """The lines as text, without the blanks at their ends."""
        return [line.text() for line in self.lines]

    def _start(self, rows: int, cols: int) -> None:
        self._main, self._alternate = Page(rows, cols), Page(rows, cols)
        self.page = self._main
        self.title = ""
        self._modes = set(MODES_AT_START)
        self._is_inserting = False
        self._last = ""
        self._tabs = _tabs(cols)

    def _show(self, text: str) -> None:
        cursor = self.page.cursor
        if cursor.draws[cursor.shift]:
            text = text.translate(_DRAWN)
        self._last = text[-1]
        if text.isascii():
            self._put(list(text))
            return
        cells: list[str] = []
        for char in text:
            width = _width(char)
            if width == 0:
                self._put(cells)
                cells = []
                self._combine(char)
            else:
                cells += (char,) if width == 1 else (char, "")
        self._put(cells)

    def _put(self, cells: list[str]) -> None:
        at = 0
        while at < len(cells):
            page, cursor = self.page, self.page.cursor
            if cursor.is_past_end and WRAP in self._modes:
                page.index()
                cursor.x = 0
            count = min(len(cells) - at, page.cols - cursor.x)
            if at + count < len(cells) and cells[at + count] == "":
                count -= 1  # a wide character doesn't fit into the last column
            if count == 0:
                if page.cols - cursor.x > 1 or page.cols == 1 or WRAP not in self._modes:
                    return  # nowhere to show it
                cursor.is_past_end = True
                continue
            self._put_part(cells[at : at + count])
            at += count
            if cursor.is_past_end and WRAP not in self._modes and at < len(cells):
                at = max(at, len(cells) - (2 if cells[-1] == "" else 1))  # only the last one stays
                cursor.x = page.cols - (len(cells) - at)

    def _put_part(self, part: list[str]) -> None:
        page, cursor = self.page, self.page.cursor
        if self._is_inserting:
            page.line.insert(cursor.x, len(part), cursor.style)
        page.line.write(cursor.x, part, cursor.style)
        cursor.x += len(part)
        cursor.is_past_end = cursor.x >= page.cols
        if cursor.is_past_end:
            cursor.x = page.cols - 1

    def _combine(self, mark: str) -> None:
        cursor = self.page.cursor
        x = cursor.x if cursor.is_past_end else cursor.x - 1
        if x >= 0:
            self.page.line.append(x, mark, chars_max=1 + MARKS_MAX)

    def _control(self, control: str) -> None:
        page, cursor = self.page, self.page.cursor
        match control:
            case "\b":
                page.move_to(cursor.x - 1, cursor.y)
            case "\t":
                self._tabulate(1, is_forward=True)
            case "\n" | "\v" | "\f":
                page.index()
            case "\r":
                cursor.x, cursor.is_past_end = 0, False
            case "\x0e" | "\x0f":
                cursor.shift = 1 if control == "\x0e" else 0
            case _:
                return

    def _escape(self, token: Escape) -> None:
        page = self.page
        match token.intermediates, token.final:
            case "", "7":
                page.save()
            case "", "8":
                page.restore()
            case "", "D":
                page.index()
            case "", "E":
                page.index()
                page.cursor.x = 0
            case "", "M":
                page.reverse_index()
            case "", "H":
                self._tabs.add(page.cursor.x)
            case "", "c":
                self._start(self.rows, self.cols)
            case "#", "8":
                for line in page.lines:
                    line.write(0, ["E"] * page.cols, Style())
            case ("(" | ")") as which, final:
                draws = list(page.cursor.draws)
                draws["()".index(which)] = final == "0"
                page.cursor.draws = (draws[0], draws[1])
            case _:
                return

    def _string(self, value: str) -> None:
        kind, _, title = value.partition(";")
        if kind in ("0", "2"):
            self.title = "".join(char for char in title if char.isprintable())[:TITLE_MAX]

    def _csi(self, token: Csi) -> None:
        if token.private == "?" and token.final in "hl" and not token.intermediates:
            for parameter in token.parameters:
                self._set_private(parameter[0], is_set=token.final == "h")
        elif token.intermediates == "!" and token.final == "p":
            self._soft_reset()
        elif token.private or token.intermediates:
            return
        elif (edit := EDITS.get(token.final)) is not None:
            edit(self.page, token)
        else:
            self._own(token)

    def _own(self, token: Csi) -> None:
        """What needs more than the page."""
        match token.final:
            case "I" | "Z":
                self._tabulate(min(token.number(0, 1), self.cols), is_forward=token.final == "I")
            case "g" if token.choice == 0:
                self._tabs.discard(self.page.cursor.x)
            case "g" if token.choice == 3:
                self._tabs.clear()
            case "b" if self._last:
                # Who draws with it fills a line; more than that would only cost whoever looks.
                self._show(self._last * min(token.number(0, 1), self.cols))
            case "h" | "l" if any(each[0] == _INSERT for each in token.parameters):
                self._is_inserting = token.final == "h"
            case _:
                return

    def _tabulate(self, count: int, *, is_forward: bool) -> None:
        x, y = self.page.cursor.x, self.page.cursor.y
        stops = sorted(tab for tab in self._tabs if (tab > x if is_forward else tab < x))
        if not is_forward:
            stops.reverse()
        border = self.cols if is_forward else 0
        self.page.move_to(stops[count - 1] if count <= len(stops) else border, y)

    def _set_private(self, mode: int, *, is_set: bool) -> None:
        if mode in _ALTERNATES:
            self._switch(mode, to_alternate=is_set)
        elif mode == ORIGIN:
            self.page.cursor.is_in_region = is_set
            self.page.place(0, 0)
        elif mode == SAVED_CURSOR:
            (self.page.save if is_set else self.page.restore)()
        elif mode > 0 and is_set and len(self._modes) < MODES_MAX:
            self._modes.add(mode)
        elif not is_set:
            self._modes.discard(mode)

    def _switch(self, mode: int, *, to_alternate: bool) -> None:
        if to_alternate == self.is_alternate:
            return
        if mode == ALTERNATE and to_alternate:
            self._main.save()
        before = self.page.cursor
        self.page = self._alternate if to_alternate else self._main
        if to_alternate:
            self.page.erase_lines(0, self.rows)
        restores = mode == ALTERNATE and not to_alternate
        if restores:
            self.page.restore()
            return
        after = self.page.cursor
        after.x, after.y, after.style = before.x, before.y, before.style

    def _soft_reset(self) -> None:
        page = self.page
        page.top, page.bottom = 0, self.rows - 1
        page.cursor = Cursor(x=page.cursor.x, y=page.cursor.y)
        page.saved = Cursor()
        self._modes |= MODES_AT_START
        self._modes.discard(CURSOR_KEYS)
        self._is_inserting = False


def _tabs(cols: int) -> set[int]:
    return set(range(TAB_COLS, cols, TAB_COLS))


def _side(value: int) -> int:
    return min(max(value, 1), SIDE_MAX)


@lru_cache(maxsize=4_096)  # far more than a program's alphabet
def _width(char: str) -> int:
    """Columns: 0 for what is laid over the character before it, 2 for what is wide."""
    if char.isascii():
        return 1
    from rich.cells import get_character_cell_size  # only here: it costs a short command half its time

    return 0 if combining(char) else max(get_character_cell_size(char), 0)
