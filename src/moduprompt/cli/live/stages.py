"""Tasks and their stages as a strip: passed, here, held, ahead.

Add a greeting            can't go on without an approval 2.1 s
plan ✓ ─ implement ✓ ─ test ✓ ─ review ● ─ merge ⛔
"""

from typing import Final

from moduprompt.cli.live.spans import Line, Span, Style, cut, line_cells, spread
from moduprompt.cli.live.spells import spell
from moduprompt.cli.live.text import plain
from moduprompt.views.board import Board
from moduprompt.views.board_rows import BoardNode, StageCard, StageMark, TaskFacts

_MARKS: Final[dict[StageMark, tuple[str, Style]]] = {
    "passed": ("✓", "good"),
    "here": ("●", "busy"),
    "held": ("⛔", "wait"),
    "failed": ("✗", "bad"),
    "ahead": ("", "faint"),
}
_WORDS: Final[dict[str, tuple[str, Style]]] = {
    "queued": ("queued", "faint"),
    "running": ("under way", "busy"),
    "paused": ("paused", "wait"),
    "succeeded": ("done", "good"),
    "failed": ("failed", "bad"),
    "cancelled": ("given up", "faint"),
    "awaiting_user_input": ("waits for an answer", "wait"),
    "blocked_by_approval": ("waits for an approval", "wait"),
    "blocked_by_policy": ("held by the policy", "wait"),
}
ROWS_EACH: Final = 2  # its title and its stages
_ENDS: Final = frozenset({"succeeded", "failed", "cancelled"})


def draw_tasks(board: Board, *, width: int, rows_max: int | None) -> list[Line]:
    """Two lines a task; where not all have room, the open ones come first and the rest is counted."""
    names = {node.id: plain(node.title) for node in board.nodes if node.kind == "session"}
    tasks = [(node, node.facts) for node in board.nodes if isinstance(node.facts, TaskFacts)]
    shown = tasks
    if rows_max is not None and len(tasks) * ROWS_EACH > rows_max:
        by_need = sorted(tasks, key=lambda task: task[0].status in _ENDS)
        shown = by_need[: max(1, (rows_max - 1) // ROWS_EACH)]
    drawn: list[Line] = []
    for node, facts in shown:
        drawn += [_title(node, facts, names=names, at=board.at, width=width), _strip(node, width)]
    left_out = len(tasks) - len(shown)
    return [*drawn, (Span(f"  … {left_out} more tasks", "faint"),)] if left_out else drawn


def _title(node: BoardNode, facts: TaskFacts, *, names: dict[str, str], at: str, width: int) -> Line:
    word, style = _WORDS.get(node.status, (node.status, "text"))
    lasted = "" if node.status in _ENDS else f" {spell(node.since, at)}"
    doer = names.get(facts.state.session_id or "", "")
    left = (Span("▸ ", "mark"), Span(plain(node.title), "title"))
    attempt = f" attempt {facts.state.attempt}" if facts.state.attempt > 1 else ""
    by = (Span(f" by {doer}", "faint"),) if doer else ()
    return spread((*left, *by), (Span(word, style), Span(attempt + lasted, "faint")), width=width)


def _strip(node: BoardNode, width: int) -> Line:
    """All stages where they fit; else the passed ones as ticks; else what fits of that."""
    for stages in (_named(node.stages), _ticked(node.stages)):
        if line_cells(stages) <= width:
            return stages
    return cut(_ticked(node.stages), width)


def _named(stages: tuple[StageCard, ...]) -> Line:
    line: list[Span] = [Span("  ")]
    for place, stage in enumerate(stages):
        glyph, style = _MARKS[stage.mark]
        line += [Span(" ─ ", "faint")] if place else []
        line.append(Span(f"{stage.name} {glyph}".rstrip(), style))
    return tuple(line)


def _ticked(stages: tuple[StageCard, ...]) -> Line:
    line: list[Span] = [Span("  ")]
    for stage in stages:
        glyph, style = _MARKS[stage.mark]
        is_passed = stage.mark == "passed"
        line.append(Span(glyph if is_passed else f" {stage.name} {glyph}".rstrip(), style))
    return tuple(line)
