"""Read models in a dictionary."""

from collections.abc import Sequence
from itertools import islice

from moduprompt.domain.item import Item, View
from moduprompt.protocol import WorkspaceId, encode
from moduprompt.storage.folding import Batch, fold_into, sort_out
from moduprompt.storage.port import Standing, Step
from moduprompt.views.search_words import Query
from moduprompt.views.search_words import strength as strength_of


class Edition:
    """The rows of one version of one view."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.rows: dict[str, dict[tuple[str, WorkspaceId], Item]] = {name: {} for name, _ in view.collections}
        self.standings: dict[WorkspaceId, Standing] = {}

    def position(self, workspace_id: WorkspaceId) -> int:
        """How far it has come."""
        standing = self.standings.get(workspace_id)
        return 0 if standing is None else standing.seq

    def load(self, collection: str, kind: type[Item], id_: str, workspace_id: WorkspaceId) -> Item | None:
        """A row as it stands."""
        row = self.rows[collection].get((id_, workspace_id))
        return row if isinstance(row, kind) else None

    def keep(self, batch: Batch, reached: Sequence[Standing]) -> None:
        """What a batch has changed, and how far it came."""
        for (collection, id_, workspace_id), row in batch.changed():
            if row is None:
                self.rows[collection].pop((id_, workspace_id), None)
            else:
                self.rows[collection][id_, workspace_id] = row
        for standing in reached:
            if standing.seq > self.position(standing.workspace_id):
                self.standings[standing.workspace_id] = standing

    def forget(self, workspace_id: WorkspaceId) -> None:
        """Nothing of this workspace any more."""
        self.standings.pop(workspace_id, None)
        for rows in self.rows.values():
            for place in [place for place in rows if place[1] == workspace_id]:
                del rows[place]


class MemoryViews:
    """A `ViewStore` without a disk."""

    def __init__(self) -> None:
        self._serving: dict[str, Edition] = {}
        self._shadows: dict[str, MemoryShadow] = {}
        self._homes: dict[WorkspaceId, None] = {}  # in the order in which they came

    async def apply(self, views: Sequence[View], steps: Sequence[Step]) -> None:
        """Fold in batches beside the rows; they are kept when every view is through."""
        self._homes |= dict.fromkeys(step.stamp.workspace_id for step in steps)
        _apply([self._edition(view) for view in views], steps)

    async def position(self, view: View, workspace_id: WorkspaceId) -> int:
        """How far it has come."""
        found = self._found(view)
        return 0 if found is None else found.position(workspace_id)

    async def rows(
        self, collection: str, *, workspace_id: WorkspaceId | None, after: str, limit: int
    ) -> list[tuple[str, bytes]]:
        """In the order of ids."""
        found = self._collection(collection)
        places = sorted(place for place in found if workspace_id in (None, place[1]))
        return [(place[0], encode(found[place])) for place in places if place[0] > after][:limit]

    async def answering(
        self, view: View, query: Query, *, workspace_id: WorkspaceId, strength: int, behind: str, limit: int
    ) -> list[tuple[str, bytes]]:
        """All rows of the workspace are looked at."""
        found = self._collection(view.collections[0][0])
        ids = [
            id_ for id_, home in reversed(found) if home == workspace_id
        ]  # a dictionary keeps who came first
        left = ids[ids.index(behind) + 1 :] if behind in ids else ids
        rows = ((id_, found[id_, workspace_id]) for id_ in left if view.searched is not None)
        answers = ((id_, encode(row)) for id_, row in rows if _strength(view, query, row=row) == strength)
        return list(islice(answers, limit))

    async def row(self, collection: str, id_: str) -> tuple[WorkspaceId, bytes] | None:
        """One of them."""
        found = self._collection(collection)
        for workspace_id in self._homes:
            if (row := found.get((id_, workspace_id))) is not None:
                return workspace_id, encode(row)
        return None

    async def standings(self, view: View) -> list[Standing]:
        """Of every workspace."""
        found = self._found(view)
        return [] if found is None else list(found.standings.values())

    async def count(self, view: View) -> int:
        """Of the edition that serves."""
        found = self._serving.get(view.name)
        return 0 if found is None else sum(map(len, found.rows.values()))

    async def forget(self, workspace_id: WorkspaceId) -> None:
        """Nothing of it any more."""
        for edition in (*self._serving.values(), *(each.edition for each in self._shadows.values())):
            edition.forget(workspace_id)

    async def shadow(self, view: View) -> "MemoryShadow":
        """An empty edition."""
        self._shadows[view.name] = MemoryShadow(view, serving=self._serving, homes=self._homes)
        return self._shadows[view.name]

    async def close(self) -> None:
        """Nothing to let go of but shadows."""
        self._shadows.clear()

    def _found(self, view: View) -> Edition | None:
        found = self._serving.get(view.name)
        return found if found is not None and found.view.version == view.version else None

    def _edition(self, view: View) -> Edition:
        found = self._found(view)
        if found is None:
            found = self._serving[view.name] = Edition(view)
        found.view = view  # of the same version; its fold may have been mended
        return found

    def _collection(self, name: str) -> dict[tuple[str, WorkspaceId], Item]:
        for edition in self._serving.values():
            if name in edition.rows:
                return edition.rows[name]
        return {}


class MemoryShadow:
    """A `Shadow` without a disk."""

    def __init__(self, view: View, *, serving: dict[str, Edition], homes: dict[WorkspaceId, None]) -> None:
        self.edition = Edition(view)
        self._serving = serving
        self._homes = homes

    async def apply(self, steps: Sequence[Step]) -> None:
        """Into this edition alone."""
        self._homes.update(dict.fromkeys(step.stamp.workspace_id for step in steps))
        _apply([self.edition], steps)

    async def position(self, workspace_id: WorkspaceId) -> int:
        """How far it has come."""
        return self.edition.position(workspace_id)

    async def take_over(self) -> None:
        """Serve."""
        self._serving[self.edition.view.name] = self.edition

    async def discard(self) -> None:
        """Nobody knows of it."""


def _strength(view: View, query: Query, *, row: Item) -> int | None:
    assert view.searched is not None, "BUG: asked of a view that is searched"
    words = view.searched(row)
    return strength_of(query, id_=row.id, title=words.titles, other=words.others)


def _apply(editions: Sequence[Edition], steps: Sequence[Step]) -> None:
    sorted_out = sort_out([each.view for each in editions], steps)
    done: list[tuple[Edition, Batch, Sequence[Standing]]] = []
    for edition, (view, its) in zip(editions, sorted_out, strict=True):
        batch = Batch(view, edition.load)
        fold_into(batch, view, its, after={ws: edition.position(ws) for ws in its.reached})
        done.append((edition, batch, list(its.reached.values())))
    for edition, batch, reached in done:
        edition.keep(batch, reached)
