"""How steps are folded into a view's rows, the same in every store.

Rows are changed in memory and come out of a batch once each, however often events touched
them. An event reaches the rows of its own workspace only: ids of what was imported were minted
elsewhere, and may be ours by accident or on purpose. Each event goes to the views that take
its type. A fold that breaks names the event.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, View
from moduprompt.protocol import WorkspaceId
from moduprompt.storage.port import Standing, Step, StorageFailed, ViewBroke

Load: TypeAlias = Callable[[str, type[Item], str, WorkspaceId], Item | None]
"""The row of a collection, of one workspace, as the store has it."""

Place: TypeAlias = tuple[str, str, WorkspaceId]
"""Collection, id and workspace of a row."""

ItemT = TypeVar("ItemT", bound=Item)  # the row's type


class Batch:
    """The rows of one view in one transaction: read once, written once at its end."""

    def __init__(self, view: View, load: Load) -> None:
        self._names = {kind: name for name, kind in view.collections}
        self._load = load
        self._home = WorkspaceId("")
        self._seen: dict[Place, Item | None] = {}
        self._found: dict[Place, Item | None] = {}
        self._changed: dict[Place, None] = {}

    def enter(self, workspace_id: WorkspaceId) -> None:
        """From here on the rows are those of this workspace."""
        self._home = workspace_id

    def get(self, kind: type[ItemT], id_: str) -> ItemT | None:
        """The row as it stands, or None."""
        at = (self._names[kind], id_, self._home)
        try:
            row = self._seen[at]
        except KeyError:
            row = self._seen[at] = self._found[at] = self._load(at[0], kind, id_, self._home)
        return row if isinstance(row, kind) else None

    def put(self, row: Item) -> None:
        """Write the row whole."""
        assert row.workspace_id == self._home, (
            f"BUG: a fold in {self._home} makes a row of {row.workspace_id}"
        )
        at = (self._names[type(row)], row.id, self._home)
        self._seen[at] = row
        self._changed[at] = None

    def drop(self, kind: type[Item], id_: str) -> None:
        """Remove the row; removing none is fine."""
        at = (self._names[kind], id_, self._home)
        self._seen[at] = None
        self._changed[at] = None

    def before(self, at: Place) -> Item | None:
        """The row as the store has it; it must have been looked at before it was changed."""
        assert at in self._found, f"BUG: {at} is searched, and its fold writes it without a look"
        return self._found[at]

    def changed(self) -> Iterator[tuple[Place, Item | None]]:
        """Where something was changed, and the row; None for one that is gone."""
        for at in self._changed:
            yield at, self._seen[at]


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """Steps as one view gets them, where they begin, and where it stands when it has them all."""

    steps: list[Step]
    first: Mapping[WorkspaceId, int]
    reached: Mapping[WorkspaceId, Standing]


def sort_out(views: Sequence[View], steps: Sequence[Step]) -> list[tuple[View, Sorted]]:
    """For each view the steps whose events it takes; all come as far as the last step."""
    reached = {
        step.stamp.workspace_id: Standing(
            workspace_id=step.stamp.workspace_id, seq=step.stamp.seq, event_id=step.event_id
        )
        for step in steps
    }
    first = {step.stamp.workspace_id: step.stamp.seq for step in reversed(steps)}
    of_view: list[list[Step]] = [[] for _ in views]
    takers: dict[type[Event], list[list[Step]]] = {}
    for step in steps:
        if step.event is None:
            continue
        kind = type(step.event)
        found = takers.get(kind)
        if found is None:
            found = [mine for view, mine in zip(views, of_view, strict=True) if issubclass(kind, view.takes)]
            takers[kind] = found
        for mine in found:
            mine.append(step)
    return [
        (view, Sorted(steps=mine, first=first, reached=reached))
        for view, mine in zip(views, of_view, strict=True)
    ]


def fold_into(batch: Batch, view: View, sorted_out: Sorted, *, after: Mapping[WorkspaceId, int]) -> None:
    """Fold what lies after the view's positions. Raises ViewBroke or StorageFailed."""
    for workspace_id, seq in sorted_out.first.items():
        assert seq <= after[workspace_id] + 1, (
            f"BUG: view {view.name} is at {after[workspace_id]}, not before {seq}"
        )
    fold = view.fold
    for step in sorted_out.steps:
        stamp = step.stamp
        if step.event is None or stamp.seq <= after[stamp.workspace_id]:
            continue
        try:
            batch.enter(stamp.workspace_id)
            fold(batch, step.event, stamp)
        except StorageFailed:
            raise
        except Exception as fault:
            raise ViewBroke(view, step, fault) from fault
