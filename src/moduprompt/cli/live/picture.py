"""The picture of a workspace: sessions, tasks, what waits, what happened last.

`draw` is a pure function of a scene and a size: the same events draw the same picture,
whenever and wherever. No line is wider than the size, and there are never more of them
than it has rows: the ticker gives way first, then the middle of the tree.
"""

from typing import Final

import msgspec

from moduprompt.cli.live.lines import TYPE_CELLS, Change, to_clock
from moduprompt.cli.live.spans import Line, Span, cut, spread
from moduprompt.cli.live.stages import draw_tasks
from moduprompt.cli.live.story import Scene
from moduprompt.cli.live.text import pad, plain
from moduprompt.cli.live.tree import draw_tree
from moduprompt.cli.live.waiting import draw_waiting
from moduprompt.views.board import Board

COLUMNS_MIN: Final = 20  # below it a box has no inside; such a terminal gets what fits
TICKER_ROWS: Final = 8  # where no height says otherwise
TICKER_ROWS_MIN: Final = 4  # a blank, its rule and the two last events
PARTS: Final = 3  # tasks and what waits take at most a third of the rows each
TYPE_COLUMNS: Final = 110  # from here on the ticker has room for the types of events
EMPTY: Final[Line] = ()
NO_SESSION: Final = "no session yet"


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much room there is; without `rows` a picture is as high as it needs to be."""

    columns: int
    rows: int | None = None


def draw(scene: Scene, size: Size) -> tuple[Line, ...]:
    """The picture."""
    width = max(COLUMNS_MIN, size.columns)
    board = scene.board
    header = _header(board, width)
    part = None if size.rows is None else size.rows // PARTS
    waiting = [EMPTY, *draw_waiting(board, width=width, rows_max=part)]
    tasks = draw_tasks(board, width=width, rows_max=part)
    tasks = [EMPTY, *tasks] if tasks else []
    tree = draw_tree(board, width=width)
    if size.rows is None:
        above = [header, *tree, *tasks, *waiting]
        return _cut_all([*above, *_ticker(scene, rows=TICKER_ROWS + 2, width=width)], size)
    room = size.rows - 1 - len(tasks) - len(waiting)
    if len(tree) > room:
        tree = _thinned(tree, rows=room - TICKER_ROWS_MIN)
    above = [header, *tree, *tasks, *waiting]
    left = size.rows - len(above)
    return _cut_all([*above, *_ticker(scene, rows=left, width=width)][: size.rows], size)


def draw_sessions(scene: Scene, size: Size) -> tuple[Line, ...]:
    """The tree of sessions alone."""
    width = max(COLUMNS_MIN, size.columns)
    tree = draw_tree(scene.board, width=width) or [(Span(NO_SESSION, "faint"),)]
    room = size.rows
    lines = _thinned(tree, rows=room - 1) if room is not None and len(tree) >= room else tree
    return _cut_all([_header(scene.board, width), *lines][:room], size)


def _cut_all(lines: list[Line], size: Size) -> tuple[Line, ...]:
    return tuple(cut(line, max(1, size.columns)) for line in lines)


def _header(board: Board, width: int) -> Line:
    projects = ", ".join(
        plain(node.title) for node in board.nodes if node.kind == "group" and node.id != node.workspace_id
    )
    left = (
        Span(plain(board.title) or "workspace", "title"),
        Span(f" / {projects}" if projects else "", "faint"),
    )
    right = (Span(f"seq {board.seq}", "mark"), Span(f" · {board.at[11:19]}", "faint"))
    return spread(left, right, width=width)


def _thinned(lines: list[Line], *, rows: int) -> list[Line]:
    """So many rows, or at least one: the first and the last stay, a line says what is left out."""
    rows = max(1, rows)
    first = rows // 2
    last = rows - 1 - first
    left_out = len(lines) - first - last
    note: Line = (Span(f"│  … {left_out} more sessions", "faint"),)
    return [*lines[:first], note, *(lines[len(lines) - last :] if last else [])]


def _ticker(scene: Scene, *, rows: int, width: int) -> list[Line]:
    """A blank, a rule, and the last events below it; the newest comes last."""
    room = rows - 2
    if room <= 0 or not scene.changes:
        return []
    rule = "─ events "
    lines = [_told(change, width) for change in scene.changes[-room:]]
    return [EMPTY, (Span(rule + "─" * (width - len(rule)), "faint"),), *lines]


def _told(change: Change, width: int) -> Line:
    name, _, short_id = change.subject.rpartition(" [")
    seq = f" {change.seq:>4} "
    kind = f"{pad(change.event_type, TYPE_CELLS)} " if width >= TYPE_COLUMNS else ""
    return (
        Span(to_clock(change.at)[: 12 if width >= TYPE_COLUMNS else 8], "faint"),
        Span(seq, "mark"),
        Span(kind, "faint"),
        Span(name if short_id.endswith("]") and name else change.subject, "title"),
        Span(f" {change.sentence}"),
    )
