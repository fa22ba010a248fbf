"""Rows in a dictionary."""

from moduprompt.domain.workspace.view import WorkspaceItem
from moduprompt.protocol import WorkspaceId
from moduprompt.views.memory import MemoryRows


def a_row(id_: str, name: str) -> WorkspaceItem:
    return WorkspaceItem(
        id=id_, workspace_id=WorkspaceId(id_), version=1, created_at="", updated_at="", name=name, owner_id=""
    )


def test_a_copy_goes_its_own_way() -> None:
    rows = MemoryRows()
    rows.put(a_row("a", "before"))
    other = rows.copy()
    other.put(a_row("a", "after"))
    other.put(a_row("b", "new"))
    rows.drop(WorkspaceItem, "a")

    assert len(rows) == 0
    assert [(row.id, row.name) for row in other.every(WorkspaceItem)] == [("a", "after"), ("b", "new")]
    assert len(other) == 2
