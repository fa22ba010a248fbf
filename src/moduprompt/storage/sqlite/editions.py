"""The editions of views in one file: the rows of a version of a view, made, filled and dropped.

Used from the one writing thread only. What is changed is kept in memory beside the file, so a
row that was just written is not read and decoded again; a transaction that fails forgets all of it.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar

import msgspec

from moduprompt.domain.item import Item, Searched, View
from moduprompt.protocol import WorkspaceId, encode
from moduprompt.storage.folding import Batch, Place, fold_into, sort_out
from moduprompt.storage.port import Standing, Step
from moduprompt.storage.sqlite.connection import Database, load_queries
from moduprompt.storage.sqlite.words import Entry

R = TypeVar("R")
ROWS_KEPT: Final = (
    4_096  # of one edition: some 8 MB at the very most, and what a busy workspace touches in a second
)


class Edition:
    """One of them, and what of it is in memory."""

    def __init__(self, number: int, view: View, *, shelves: dict[str, int]) -> None:
        self.number = number
        self.view = view
        self.shelves = shelves
        self.kept: dict[Place, Item] = {}
        self.numbers: dict[Place, int] = {}
        self.reached: dict[WorkspaceId, int] = {}

    def forget(self) -> None:
        """What is in memory can't be trusted any more."""
        self.kept.clear()
        self.numbers.clear()
        self.reached.clear()


class Editions:
    """All of one file."""

    def __init__(self, database: Database, views: tuple[View, ...]) -> None:
        self._database = database
        self._views = {view.name: view for view in views}
        self._sql = load_queries("views.sql")
        self._known: dict[str, Edition] | None = None  # not read, or not to be trusted any more
        self._shadows: dict[str, Edition] = {}
        self._homes: dict[WorkspaceId, int] = {}
        self._last_number: int | None = None

    def open(self) -> None:
        """Drop what nobody finished, and the rows of views that are no more."""
        with self._transaction():
            for number, name, _, serves in self._rows("editions", (), tuple[int, str, int, int]):
                if name not in self._views or not serves:
                    self._drop(number)

    def serving(self, view: View) -> Edition | None:
        """The edition that serves, whatever its version."""
        return self._serving().get(view.name)

    def current(self, view: View) -> Edition | None:
        """The edition that serves, if it is of this version."""
        found = self._serving().get(view.name)
        return found if found is not None and found.view.version == view.version else None

    def apply(self, views: Sequence[View], steps: Sequence[Step]) -> None:
        """Fold into what serves; a view of another version starts from nothing. One transaction."""
        fresh: dict[str, Edition] = {}
        with self._transaction():
            editions: list[Edition] = []
            for view in views:
                edition = self.current(view)
                if edition is None:
                    edition = fresh[view.name] = self._renewed(view)
                edition.view = view  # of the same version; its fold may have been mended
                editions.append(edition)
            self._fold(editions, steps)
        self._serving().update(fresh)

    def begin(self, view: View) -> Edition:
        """An empty edition that does not serve; a former one that nobody finished is gone."""
        with self._transaction():
            for number, name, _, serves in self._rows("editions", (), tuple[int, str, int, int]):
                if name == view.name and not serves:
                    self._drop(number)
            made = self._made(view, serves=0)
        self._shadows[view.name] = made
        return made

    def apply_to(self, edition: Edition, steps: Sequence[Step]) -> None:
        """Fold into an edition that does not serve yet. One transaction."""
        with self._transaction():
            self._fold([edition], steps)

    def hand_over(self, edition: Edition) -> None:
        """This one serves, the one before it is gone. One transaction."""
        before = self._serving().get(edition.view.name)
        with self._transaction():
            if before is not None:
                self._drop(before.number)
            self._database.write(self._sql["serve"], (edition.number,))
        self._serving()[edition.view.name] = edition
        self._shadows.pop(edition.view.name, None)

    def drop(self, edition: Edition) -> None:
        """Throw it away, if it does not serve."""
        before = self._serving().get(edition.view.name)
        if before is None or before.number != edition.number:
            with self._transaction():
                self._drop(edition.number)

    def forget(self, workspace_id: WorkspaceId) -> None:
        """Nothing of a workspace any more, in any edition."""
        with self._transaction():
            for name in ("forget_rows", "forget_words", "forget_documents", "forget_positions"):
                self._database.write(self._sql[name], (workspace_id,))
        self._trust_nothing()

    def position(self, edition: Edition, workspace_id: WorkspaceId) -> int:
        """How far an edition has come."""
        known = edition.reached.get(workspace_id)
        if known is None:
            rows = self._rows("position", (edition.number, workspace_id), tuple[int])
            known = edition.reached[workspace_id] = rows[0][0] if rows else 0
        return known

    def standings(self, edition: Edition) -> list[Standing]:
        """Of every workspace."""
        rows = self._rows("standings", (edition.number,), tuple[str, int, str])
        return [Standing(workspace_id=WorkspaceId(ws), seq=seq, event_id=event) for ws, seq, event in rows]

    def count(self, edition: Edition) -> int:
        """How many rows it has."""
        return self._rows("count", (edition.number,), tuple[int])[0][0]

    @contextmanager
    def _transaction(self) -> Generator[None]:
        try:
            with self._database.transaction():
                yield
        except BaseException:  # what the memory says was perhaps not written
            self._trust_nothing()
            raise

    def _trust_nothing(self) -> None:
        for edition in self._shadows.values():
            edition.forget()
        self._known = None
        self._last_number = None
        self._homes.clear()

    def _serving(self) -> dict[str, Edition]:
        if self._known is None:
            known: dict[str, Edition] = {}
            for number, name, version, serves in self._rows("editions", (), tuple[int, str, int, int]):
                if serves and name in self._views:
                    view = msgspec.structs.replace(self._views[name], version=version)
                    shelves = dict(self._rows("shelves", (number,), tuple[str, int]))
                    known[name] = Edition(number, view, shelves=shelves)
            self._known = known
        return self._known

    def _fold(self, editions: Sequence[Edition], steps: Sequence[Step]) -> None:
        sorted_out = sort_out([each.view for each in editions], steps)
        for edition, (view, its) in zip(editions, sorted_out, strict=True):
            batch = Batch(view, partial(self._load, edition))
            fold_into(batch, view, its, after={ws: self.position(edition, ws) for ws in its.reached})
            self._flush(edition, batch)
            self._move(edition, list(its.reached.values()))

    def _load(
        self, edition: Edition, name: str, kind: type[Item], id_: str, workspace_id: WorkspaceId
    ) -> Item | None:
        kept = edition.kept.get((name, id_, workspace_id))
        if kept is not None:
            return kept
        found = self._rows("get", (edition.shelves[name], id_, self._home(workspace_id)), tuple[bytes])
        return msgspec.json.decode(found[0][0], type=kind) if found else None

    def _flush(self, edition: Edition, batch: Batch) -> None:
        put: list[tuple[int, str, int, bytes]] = []
        gone: list[tuple[int, str, int]] = []
        kept = edition.kept
        for place, row in batch.changed():
            name, id_, workspace_id = place
            shelf, home = edition.shelves[name], self._home(workspace_id)
            if row is None:
                kept.pop(place, None)
                gone.append((shelf, id_, home))
            else:
                kept[place] = row
                put.append((shelf, id_, home, encode(row)))
        self._database.write_many(self._sql["drop"], gone)
        put.sort()
        self._database.write_many(self._sql["put"], put)
        if edition.view.searched is not None:
            self._index(edition, batch, searched=edition.view.searched)
        if len(kept) > ROWS_KEPT:
            kept.clear()
            edition.numbers.clear()

    def _index(self, edition: Edition, batch: Batch, *, searched: Callable[[Item], Searched]) -> None:
        """The words of what has changed, where they are others than before."""
        added: list[tuple[int, int, str, int]] = []
        words: dict[str, list[tuple[int, str, str, str, str]]] = {"add_words": [], "put_words": []}
        for place, row in batch.changed():
            before = batch.before(place)
            if row is None:
                self._unindex(edition, place)
                continue
            told = searched(row)
            if before is not None and searched(before) == told:
                continue
            home = self._home(place[2])
            shelf = edition.shelves[place[0]]
            if before is None:
                number = self._next_number()
                added.append((number, shelf, row.id, home))
                edition.numbers[place] = number
            else:
                number = self._number(edition, place)
            entry = Entry(row, told, shelf=shelf, home=home)
            words["add_words" if before is None else "put_words"].append(entry.bindings(number))
        self._database.write_many(self._sql["add_document"], added)
        for name, entries in words.items():
            self._database.write_many(self._sql[name], entries)

    def _unindex(self, edition: Edition, place: Place) -> None:
        number = self._number(edition, place)
        edition.numbers.pop(place, None)
        for name in ("drop_word", "drop_document"):
            self._database.write(self._sql[name], (number,))

    def _number(self, edition: Edition, place: Place) -> int:
        """Of a row that is indexed; one that isn't has 0, which no row has."""
        known = edition.numbers.get(place)
        if known is None:
            bindings = (edition.shelves[place[0]], place[1], self._home(place[2]))
            rows = self._rows("number", bindings, tuple[int])
            known = rows[0][0] if rows else 0
        return known

    def _next_number(self) -> int:
        if self._last_number is None:
            self._last_number = self._rows("last_number", (), tuple[int])[0][0]
        self._last_number += 1
        return self._last_number

    def _move(self, edition: Edition, reached: Sequence[Standing]) -> None:
        moved = [each for each in reached if each.seq > self.position(edition, each.workspace_id)]
        self._database.write_many(
            self._sql["move_position"],
            [(edition.number, self._home(each.workspace_id), each.seq, each.event_id) for each in moved],
        )
        for each in moved:
            edition.reached[each.workspace_id] = each.seq

    def _home(self, workspace_id: WorkspaceId) -> int:
        known = self._homes.get(workspace_id)
        if known is None:
            found = self._rows("home", (workspace_id,), tuple[int])
            found = found or self._rows("add_home", (workspace_id,), tuple[int])
            known = self._homes[workspace_id] = found[0][0]
        return known

    def _renewed(self, view: View) -> Edition:
        before = self._serving().get(view.name)
        if before is not None:
            self._drop(before.number)
        return self._made(view, serves=1)

    def _made(self, view: View, *, serves: int) -> Edition:
        number = self._rows("add_edition", (view.name, view.version, serves), tuple[int])[0][0]
        shelves = {
            name: self._rows("add_shelf", (number, name), tuple[int])[0][0] for name, _ in view.collections
        }
        return Edition(number, view, shelves=shelves)

    def _drop(self, number: int) -> None:
        for name in (
            "drop_rows",
            "drop_words",
            "drop_documents",
            "drop_shelves",
            "drop_positions",
            "drop_edition",
        ):
            self._database.write(self._sql[name], (number,))

    def _rows(self, name: str, bindings: tuple[str | int, ...], row: type[R]) -> list[R]:
        return self._database.select(self._sql[name], bindings, row=row)
