"""Rows in a dictionary: what a client or a test folds a view into."""

from collections.abc import Iterable
from typing import TypeVar

from moduprompt.domain.item import Item

ItemT = TypeVar("ItemT", bound=Item)  # the row's type


class MemoryRows:
    """Keeps each collection by id. Meant for one workspace, like the stream that feeds it."""

    def __init__(self) -> None:
        self._kept: dict[type[Item], dict[str, Item]] = {}

    def get(self, kind: type[ItemT], id_: str) -> ItemT | None:
        """The row as it stands, or None."""
        row = self._kept.get(kind, {}).get(id_)
        return row if isinstance(row, kind) else None

    def put(self, row: Item) -> None:
        """Write the row whole."""
        self._kept.setdefault(type(row), {})[row.id] = row

    def drop(self, kind: type[Item], id_: str) -> None:
        """Remove the row; removing none is fine."""
        self._kept.get(kind, {}).pop(id_, None)

    def copy(self) -> "MemoryRows":
        """The same rows in a dictionary of their own: what is put into one is not in the other."""
        other = MemoryRows()
        other._kept = {kind: dict(rows) for kind, rows in self._kept.items()}
        return other

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def every(self, kind: type[ItemT]) -> Iterable[ItemT]:
        """All rows of one kind, in the order they were first put."""
        return [row for row in self._kept.get(kind, {}).values() if isinstance(row, kind)]
