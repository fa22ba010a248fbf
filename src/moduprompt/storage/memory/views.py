"""Read models in a dictionary."""

from collections.abc import Sequence
from typing import TypeVar

from moduprompt.domain.item import Item, View
from moduprompt.protocol import WorkspaceId, encode
from moduprompt.storage.port import Step

I = TypeVar("I", bound=Item)  # noqa: E741 - the row's type


class MemoryViews:
    """A `ViewStore` without a disk."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Item]] = {}
        self._positions: dict[tuple[str, int, WorkspaceId], int] = {}

    async def apply(self, views: Sequence[View], steps: Sequence[Step]) -> None:
        """Fold into copies; they take the place of the rows when every view is through."""
        rows = {name: dict(found) for name, found in self._rows.items()}
        positions = dict(self._positions)
        for view in views:
            if any((view.name, view.version) == known[:2] for known in positions):
                continue
            for name, _ in view.collections:
                rows.pop(name, None)  # what another version of this view has left
        for view in views:
            _fold(view, steps, rows=rows, positions=positions)
        self._rows, self._positions = rows, positions

    async def position(self, view: View, workspace_id: WorkspaceId) -> int:
        """How far it has come."""
        return self._positions.get((view.name, view.version, workspace_id), 0)

    async def rows(
        self, collection: str, *, workspace_id: WorkspaceId | None, after: str, limit: int
    ) -> list[tuple[str, bytes]]:
        """In the order of ids."""
        found = self._rows.get(collection, {})
        ids = sorted(id_ for id_, row in found.items() if workspace_id in (None, row.workspace_id))
        return [(id_, encode(found[id_])) for id_ in ids if id_ > after][:limit]

    async def row(self, collection: str, id_: str) -> tuple[WorkspaceId, bytes] | None:
        """One of them."""
        row = self._rows.get(collection, {}).get(id_)
        return None if row is None else (row.workspace_id, encode(row))

    async def close(self) -> None:
        """Nothing to let go of."""


def _fold(
    view: View,
    steps: Sequence[Step],
    *,
    rows: dict[str, dict[str, Item]],
    positions: dict[tuple[str, int, WorkspaceId], int],
) -> None:
    kept = _Rows(rows, {kind: name for name, kind in view.collections})
    for step in steps:
        at = (view.name, view.version, step.stamp.workspace_id)
        if step.stamp.seq <= positions.get(at, 0):
            continue
        if step.event is not None:
            view.fold(kept, step.event, step.stamp)
        positions[at] = step.stamp.seq


class _Rows:
    def __init__(self, rows: dict[str, dict[str, Item]], names: dict[type[Item], str]) -> None:
        self._rows = rows
        self._names = names

    def get(self, kind: type[I], id_: str) -> I | None:
        row = self._rows.get(self._names[kind], {}).get(id_)
        return row if isinstance(row, kind) else None

    def put(self, row: Item) -> None:
        self._rows.setdefault(self._names[type(row)], {})[row.id] = row

    def drop(self, kind: type[Item], id_: str) -> None:
        self._rows.get(self._names[kind], {}).pop(id_, None)
