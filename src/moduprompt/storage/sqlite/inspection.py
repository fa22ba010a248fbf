"""A log's file as it lies there, read without a daemon. Nothing is written, migrated or claimed.

`examine` looks at all of it: SQLite's own check of its pages, the head rows, and the chain of every
workspace. `first_look` sees in an instant what would keep a daemon from knowing its workspaces at all.
What they find is named by file, page, workspace and sequence.
"""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import apsw
import msgspec

from moduprompt.protocol import SEQ_MAX, SYSTEM_WORKSPACE, ArtifactRef, Damage, EventEnvelope, WorkspaceId
from moduprompt.storage.chain import ARTIFACT_ERASED, Chain, LinkBroken, refs_in
from moduprompt.storage.port import Head, KeyRow, StorageFailed, StoredEvent
from moduprompt.storage.sqlite.connection import APPLICATION_IDS, Database, load_queries, open_untouched
from moduprompt.storage.sqlite.rows import to_key

Told: TypeAlias = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is done, and how much there is. It may raise to end it."""

FOUND_MAX: Final = 20  # of SQLite's own complaints: one broken page can make thousands
EVENTS_OF_A_SLICE: Final = 1_000  # between two words about how far it is
OWN_TABLES: Final = 3  # events, keys, workspaces
SAYS_DAMAGE: Final = (apsw.CorruptError, apsw.NotADBError, apsw.IOError)  # not: locked, full, not there
_PAGE: Final = re.compile(r"\bpage (\d+)", re.IGNORECASE)


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What there is. `whole_to` is how far each workspace holds, in the order of the head rows.

    `refs` are the artifacts that events name, `erased` those of them that were erased since.
    """

    layout: int = 0
    heads: tuple[Head, ...] = ()
    whole_to: tuple[int, ...] = ()
    damages: tuple[Damage, ...] = ()
    refs: frozenset[tuple[WorkspaceId, ArtifactRef]] = frozenset()
    erased: frozenset[tuple[WorkspaceId, ArtifactRef]] = frozenset()


def untold(_what: str, _done: int, _all: int) -> None:
    """For those who don't want to hear."""


class LogFile:
    """The workspaces of one file. A daemon may write to it meanwhile: heads are read before events."""

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._path = path
        self._sql = load_queries("log.sql")

    def layout(self) -> int:
        """The number of the file's layout."""
        ((number,),) = self._database.select("PRAGMA user_version", (), row=tuple[int])
        return number

    def is_marked(self) -> bool:
        """Whether the file's header says that it is a log."""
        ((application,),) = self._database.select("PRAGMA application_id", (), row=tuple[int])
        return application == APPLICATION_IDS["log"]

    def has_tables(self) -> bool:
        """Whether it has the tables of a log."""
        ((number,),) = self._database.select(self._sql["own_tables"], (), row=tuple[int])
        return number == OWN_TABLES

    def find_key(self, workspace_id: WorkspaceId, *, actor: str, key: str) -> KeyRow | None:
        """The accepted use of a key, or None."""
        rows = self._database.select(
            self._sql["find_key"],
            (workspace_id, actor, key),
            row=tuple[str, str, bytes, str, str, str, int, int],
        )
        return to_key(rows[0]) if rows else None

    def heads(self) -> list[Head]:
        """All workspaces, also those whose import was cut short; of any layout."""
        rows = self._database.select(self._sql["ends"], (), row=tuple[str, int, str, int])
        return [
            Head(workspace_id=WorkspaceId(id_), seq=seq, head_hash=head_hash, epoch=epoch)
            for id_, seq, head_hash, epoch in rows
        ]

    def events(self, head: Head, *, after: int = 0, limit: int = SEQ_MAX) -> Iterator[StoredEvent]:
        """One workspace's, in order, as far as its head says. Raises StorageFailed where they can't be read."""
        end = min(head.seq, after + limit)
        try:
            for stored in self._each("read", head.workspace_id, after, end - after):
                yield stored
                after = stored.seq
        except StorageFailed:  # it may be the index alone that is damaged
            yield from self._each("read_unindexed", head.workspace_id, after, end - after)

    def headless(self) -> list[int]:
        """The numbers of workspaces that have events and no head row."""
        return [number for (number,) in self._database.select(self._sql["headless"], (), row=tuple[int])]

    def faults(self) -> list[str]:
        """What SQLite finds wrong with its own pages and indexes."""
        try:
            rows = self._database.select(f"PRAGMA integrity_check({FOUND_MAX})", (), row=tuple[str])
        except StorageFailed as fault:
            return [to_damage(fault, self._path).error]
        return [line for (text,) in rows for line in text.splitlines() if line != "ok" and "***" not in line]

    def _each(self, query: str, workspace_id: WorkspaceId, after: int, limit: int) -> Iterator[StoredEvent]:
        rows = self._database.each(self._sql[query], (workspace_id, after, limit), row=tuple[int, str, bytes])
        return (StoredEvent(seq=seq, subject_id=subject, data=data) for seq, subject, data in rows)


@contextmanager
def log_file(path: Path) -> Generator[LogFile]:
    """The file, open for reading. Raises StorageFailed where it is no log of ours."""
    database = open_untouched(path)
    try:
        log = LogFile(database, path)
        if not log.is_marked() and not log.has_tables():
            raise StorageFailed(f"{path} is no log of ours")
        yield log
    finally:
        database.close()


def examine(path: Path, *, told: Told = untold) -> Examined:
    """All of a file, from its header to its last event. A damaged one is no error but what is found.

    Raises StorageFailed where it is no log of ours, or can't be looked at.
    """
    if _is_empty(path):
        return Examined()
    try:
        with log_file(path) as log:
            return _examined(log, path, told)
    except StorageFailed as fault:
        return Examined(damages=(to_damage(fault, path),))


def first_look(path: Path, *, folds: Path) -> tuple[Damage, ...]:
    """Whether header, head rows and the system's workspace hold. Raises StorageFailed as `examine`.

    A log that is not there is a new one, unless there are read models of it in `folds`.
    """
    try:
        if _is_empty(path):
            return (
                (Damage(path=str(path), error="it is gone, and its read models are there"),)
                if _has_folds(folds)
                else ()
            )
        with log_file(path) as log:
            damages = _of_header(log, path)
            heads = log.heads()
            if not heads:
                return tuple(damages)
            damages += [_without_head(path, number) for number in log.headless()]
            system = next((head for head in heads if head.workspace_id == SYSTEM_WORKSPACE), None)
            if system is None:
                error = "its head row is missing"
                return (*damages, Damage(path=str(path), workspace_id=SYSTEM_WORKSPACE, error=error))
            _, damage = _walked(log, system, chain=Chain(SYSTEM_WORKSPACE), path=path, seen=lambda _: None)
            return (*damages, damage) if damage is not None else tuple(damages)
    except StorageFailed as fault:
        return (to_damage(fault, path),)


def _is_empty(path: Path) -> bool:
    return not path.exists() or not path.stat().st_size


def _has_folds(path: Path) -> bool:
    if _is_empty(path):
        return False
    database = open_untouched(path)
    try:
        return bool(database.select(load_queries("views.sql")["any_position"], (), row=tuple[int]))
    except StorageFailed:  # of another layout, or damaged: it may be deleted, so it proves nothing
        return False
    finally:
        database.close()


def to_damage(fault: StorageFailed, path: Path) -> Damage:
    """A failure that says what is wrong with the file; any other one is raised again."""
    if not isinstance(fault.__cause__, SAYS_DAMAGE):
        raise fault
    return Damage(path=str(path), error=str(fault).removeprefix(f"{path}: "))


def _of_header(log: LogFile, path: Path) -> list[Damage]:
    return (
        [] if log.is_marked() else [Damage(path=str(path), page=1, error="its header does not call it a log")]
    )


def _examined(log: LogFile, path: Path, told: Told) -> Examined:
    told("checking the pages", 0, 1)
    damages = _of_header(log, path)
    damages += [Damage(path=str(path), page=_page_in(text), error=text) for text in log.faults()]
    heads, whole_to = log.heads(), list[int]()
    refs, erased = set[tuple[WorkspaceId, ArtifactRef]](), set[tuple[WorkspaceId, ArtifactRef]]()
    try:
        damages += [_without_head(path, number) for number in log.headless()]
    except StorageFailed as fault:
        damages.append(to_damage(fault, path))
    total = sum(head.seq for head in heads)
    for head in heads:
        chain = Chain(head.workspace_id)

        def seen(event: EventEnvelope, chain: Chain = chain) -> None:
            refs.update((chain.workspace_id, ref) for ref in refs_in(event))
            if (
                event.event_type == ARTIFACT_ERASED
            ):  # its reason may name others, which are not erased by that
                erased.add((chain.workspace_id, ArtifactRef(event.subject.id)))
            if chain.seq % EVENTS_OF_A_SLICE == 0:
                told("following the chains", sum(whole_to) + chain.seq, total)

        reached, damage = _walked(log, head, chain=chain, path=path, seen=seen)
        whole_to.append(reached)
        damages += [damage] if damage is not None else []
    return Examined(
        layout=log.layout(),
        heads=tuple(heads),
        whole_to=tuple(whole_to),
        damages=tuple(damages),
        refs=frozenset(refs),
        erased=frozenset(erased),
    )


def _walked(
    log: LogFile, head: Head, *, chain: Chain, path: Path, seen: Callable[[EventEnvelope], None]
) -> tuple[int, Damage | None]:
    error: str | None = None
    try:
        for stored in log.events(head):
            seen(chain.take(stored.data))
    except LinkBroken as fault:
        error = str(fault)
    except StorageFailed as fault:
        error = to_damage(fault, path).error
    if error is None and chain.seq < head.seq:
        error = f"it is missing; the head row says {head.seq}"
    if error is None and chain.head_hash != head.head_hash:
        # The last one is as good as gone: nobody can say that it is the one that was written.
        error = f"its bytes hash to {chain.head_hash}, the head row says {head.head_hash}"
        chain.seq -= 1
    if error is None:
        return chain.seq, None
    return chain.seq, Damage(path=str(path), workspace_id=head.workspace_id, seq=chain.seq + 1, error=error)


def _without_head(path: Path, number: int) -> Damage:
    return Damage(path=str(path), error=f"workspace number {number} has events and no head row")


def _page_in(text: str) -> int | None:
    found = _PAGE.search(text)
    return int(found[1]) if found else None
