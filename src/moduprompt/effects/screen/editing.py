"""What control sequences do to a page: move the cursor, erase, insert, delete, scroll.

Numbers come from a program that may be hostile: none costs more than the page is large.
"""

from collections.abc import Callable
from typing import Final

from moduprompt.effects.screen.page import Page
from moduprompt.effects.screen.sequences import Csi
from moduprompt.effects.screen.styling import restyled


def _move(page: Page, token: Csi) -> None:
    cursor, count = page.cursor, token.number(0, 1)
    match token.final:
        case "A" | "k":
            page.move_by(-count)
        case "B" | "e":
            page.move_by(count)
        case "C" | "a":
            page.move_to(cursor.x + count, cursor.y)
        case "D" | "j":
            page.move_to(cursor.x - count, cursor.y)
        case "E":
            page.move_by(count)
            cursor.x = 0
        case "F":
            page.move_by(-count)
            cursor.x = 0
        case "G" | "`":
            page.move_to(count - 1, cursor.y)
        case "d":
            page.place(cursor.x, count - 1)
        case _:
            page.place(token.number(1, 1) - 1, count - 1)


def _erase_display(page: Page, token: Csi) -> None:
    cursor = page.cursor
    match token.choice:
        case 0:
            page.line.erase(cursor.x, page.cols, page.erased)
            page.erase_lines(cursor.y + 1, len(page.lines))
        case 1:
            page.erase_lines(0, cursor.y)
            page.line.erase(0, cursor.x + 1, page.erased)
        case 2:
            page.erase_lines(0, len(page.lines))
        case _:
            return


def _erase_line(page: Page, token: Csi) -> None:
    x = page.cursor.x
    match token.choice:
        case 0:
            page.line.erase(x, page.cols, page.erased)
        case 1:
            page.line.erase(0, x + 1, page.erased)
        case 2:
            page.line.erase(0, page.cols, page.erased)
        case _:
            return


def _edit_line(page: Page, token: Csi) -> None:
    x = page.cursor.x
    count = min(token.number(0, 1), page.cols - x)
    match token.final:
        case "@":
            page.line.insert(x, count, page.erased)
        case "P":
            page.line.delete(x, count, page.erased)
        case _:
            page.line.erase(x, x + count, page.erased)
    page.cursor.is_past_end = False


def _edit_lines(page: Page, token: Csi) -> None:
    y = page.cursor.y
    if not page.top <= y <= page.bottom:
        return
    scroll = page.scroll_down if token.final == "L" else page.scroll_up
    scroll(min(token.number(0, 1), len(page.lines)), first=y)
    page.move_to(0, y)


def _scroll(page: Page, token: Csi) -> None:
    if len(token.parameters) > 1:  # of a mouse, once
        return
    scroll = page.scroll_up if token.final == "S" else page.scroll_down
    scroll(min(token.number(0, 1), len(page.lines)))


def _set_region(page: Page, token: Csi) -> None:
    page.set_region(token.number(0, 1) - 1, token.number(1, len(page.lines)) - 1)


def _restyle(page: Page, token: Csi) -> None:
    page.cursor.style = restyled(page.cursor.style, token.parameters)


def _save(page: Page, _: Csi) -> None:
    page.save()


def _restore(page: Page, _: Csi) -> None:
    page.restore()


EDITS: Final[dict[str, Callable[[Page, Csi], None]]] = {
    **dict.fromkeys("ABCDEFGHadefjk`", _move),
    "J": _erase_display,
    "K": _erase_line,
    **dict.fromkeys("@PX", _edit_line),
    **dict.fromkeys("LM", _edit_lines),
    **dict.fromkeys("ST", _scroll),
    "r": _set_region,
    "m": _restyle,
    "s": _save,
    "u": _restore,
}  # by the final character
