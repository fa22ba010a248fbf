"""The box of what waits: on whom, for how long, and the command that ends it.

╭─ waiting ─────────────────────────────────────╮
│ ◆ tester asks for input      a person · 1.4 s │
│   $ mpctl session prompt 1a2b3c4d 'your answer' │
╰───────────────────────────────────────────────╯
"""

from typing import Final

from moduprompt.cli.live.spans import Line, Span, Style, cut, line_cells, spread
from moduprompt.cli.live.spells import spell
from moduprompt.cli.live.text import plain, without_ids
from moduprompt.views.board import Board
from moduprompt.views.board_rows import Wait

_GLYPHS: Final[dict[bool, tuple[str, Style]]] = {
    True: ("◆ ", "wait"),  # a person must act
    False: ("◇ ", "faint"),
}
BORDER_ROWS: Final = 2
_FRAME_CELLS: Final = 4  # a border and a blank at each side


def draw_waiting(board: Board, *, width: int, rows_max: int | None) -> list[Line]:
    """The box; one quiet line when nothing waits. What a person can end stands first and stays longest."""
    if not board.waiting:
        return [(Span("nothing waits", "faint"),)]
    inside = width - _FRAME_CELLS
    rows = _within([_rows(each.wait, at=board.at, width=inside) for each in board.waiting], rows_max)
    is_urgent = any(each.wait.command is not None for each in board.waiting)
    style: Style = "wait" if is_urgent else "faint"
    title = " waiting "
    top = Span("╭─" + title + "─" * (width - len(title) - 3) + "╮", style)
    bottom = Span("╰" + "─" * (width - 2) + "╯", style)
    return [cut((top,), width), *(_framed(row, inside, style) for row in rows), cut((bottom,), width)]


def _within(waits: list[list[Line]], rows_max: int | None) -> list[Line]:
    """As many as have room, the first in any case; the rest is counted."""
    rows: list[Line] = []
    for place, wait in enumerate(waits):
        if rows_max is not None and place and len(rows) + len(wait) > rows_max - BORDER_ROWS - 1:
            return [*rows, (Span(f"… {len(waits) - place} more wait", "faint"),)]
        rows += wait
    return rows


def _rows(wait: Wait, *, at: str, width: int) -> list[Line]:
    glyph, style = _GLYPHS[wait.on in ("person", "owner")]
    what = (Span(glyph, style), Span(plain(wait.what)))
    whom = _whom(wait, at)
    if line_cells(what) + line_cells(whom) < width:
        rows = [spread(what, whom, width=width)]
    else:
        rows = [what, (Span("  "), *whom)]
    if wait.note:
        rows.append((Span("  "), Span(without_ids(wait.note), "faint")))
    if wait.command:
        rows.append((Span("  $ ", "faint"), Span(plain(wait.command), "order")))
    return rows


def _whom(wait: Wait, at: str) -> Line:
    if wait.until is not None:
        return (Span(plain(wait.whom)), Span(f" · in {spell(at, wait.until)}", "faint"))
    return (Span(plain(wait.whom)), Span(f" · {spell(wait.since, at)}", "faint"))


def _framed(row: Line, inside: int, style: Style) -> Line:
    kept = cut(row, inside)
    gap = Span(" " * (inside - line_cells(kept)))
    return (Span("│ ", style), *kept, gap, Span(" │", style))
