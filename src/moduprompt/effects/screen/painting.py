"""Draws a screen again: as bytes that make another terminal look the same."""

from moduprompt.effects.screen.grid import BLANK, DEFAULT, PLAIN, RGB, Row, Style, Weight
from moduprompt.effects.screen.screen import ALTERNATE, CURSOR_SHOWN, MODES_AT_START, Screen

_WEIGHTS = {
    Weight.BOLD: 1, Weight.DIM: 2, Weight.ITALIC: 3, Weight.UNDERLINE: 4,
    Weight.BLINK: 5, Weight.REVERSE: 7, Weight.HIDDEN: 8, Weight.STRIKE: 9,
}  # fmt: skip


def paint_lines(screen: Screen) -> list[str]:
    """The lines with their colours, each on its own: to be printed one below the other."""
    return [_paint_line(line) for line in screen.lines]


def repaint(screen: Screen) -> bytes:
    """What brings a terminal of the same size, freshly reset, to this screen, its cursor and its modes.

    The main screen behind an alternate one is not drawn.
    """
    parts = [f"\x1b[?{ALTERNATE}h"] if screen.is_alternate else []
    for number, line in enumerate(screen.lines, 1):
        if painted := _paint_line(line):
            parts.append(f"\x1b[{number};1H{painted}")
    y, x = screen.cursor
    parts.append(f"\x1b[{y + 1};{x + 1}H")
    parts += [f"\x1b[?{mode}h" for mode in sorted(screen.modes - MODES_AT_START)]
    parts += [f"\x1b[?{mode}l" for mode in sorted(MODES_AT_START - screen.modes - {CURSOR_SHOWN})]
    if CURSOR_SHOWN not in screen.modes:
        parts.append(f"\x1b[?{CURSOR_SHOWN}l")
    return "".join(parts).encode()


def _paint_line(line: Row) -> str:
    parts: list[str] = []
    style = PLAIN
    for char, wanted in zip(*_without_blank_end(line), strict=True):
        if wanted != style:
            parts.append(_select(wanted))
            style = wanted
        parts.append(char)
    if style != PLAIN:
        parts.append(_select(PLAIN))
    return "".join(parts)


def _without_blank_end(line: Row) -> tuple[list[str], list[Style]]:
    end = len(line.chars)
    while end and line.chars[end - 1] == BLANK and line.styles[end - 1] == PLAIN:
        end -= 1
    return line.chars[:end], line.styles[:end]


def _select(style: Style) -> str:
    codes = ["0", *(str(code) for weight, code in _WEIGHTS.items() if style.weight & weight)]
    codes += _colour(style.foreground, base=38)
    codes += _colour(style.background, base=48)
    return f"\x1b[{';'.join(codes)}m"


def _colour(colour: int, *, base: int) -> list[str]:
    if colour == DEFAULT:
        return []
    if colour & RGB:
        return [str(each) for each in (base, 2, colour >> 16 & 255, colour >> 8 & 255, colour & 255)]
    return [str(each) for each in (base, 5, colour)]
