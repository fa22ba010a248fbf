"""Tables and paragraphs for people: aligned, and safe whatever the cells hold."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, TypeVar

from moduprompt.cli.live.text import cells, fit, plain

T = TypeVar("T")
Column: TypeAlias = tuple[str, Callable[[T], str | int | None]]
"""A heading and what stands below it."""

CELL_MAX: Final = 60  # a name or a path beyond it is cut; `show` has it whole
GAP: Final = "  "
NOTHING: Final = "-"


def to_table(items: Sequence[T], columns: Sequence[Column[T]]) -> str:
    """A heading and a line for each item."""
    rows = [[head for head, _ in columns]]
    rows += [[fit(_cell(of(item)), CELL_MAX) for _, of in columns] for item in items]
    widths = [max(cells(row[place]) for row in rows) for place in range(len(columns))]
    return "\n".join(_line(row, widths) for row in rows)


def to_paragraph(title: str, facts: Sequence[tuple[str, str | int | None]]) -> str:
    """A title and a line for each fact that is known."""
    known = [(name, _cell(value)) for name, value in facts if value not in (None, "", ())]
    width = max((cells(name) for name, _ in known), default=0)
    return "\n".join([plain(title), *(f"  {name:<{width}}{GAP}{value}" for name, value in known)])


def _cell(value: str | int | None) -> str:
    return NOTHING if value in (None, "") else plain(str(value))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - cells(cell)) for cell, width in zip(row, widths, strict=True))
    return GAP.join(padded).rstrip()
