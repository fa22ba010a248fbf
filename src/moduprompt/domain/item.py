"""Read models: what people see of an aggregate, folded from events into rows.

A view is a pure fold over typed events. It asks for rows and puts rows; where they are
kept (a dictionary in a client, a table in the daemon) is not its business, so the live
picture and the stored one cannot differ.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from moduprompt.domain.decider import Event
from moduprompt.protocol import Actor, WorkspaceId


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of a collection. `version` is the subject's version: its last `seq_stream`."""

    id: str
    workspace_id: WorkspaceId
    version: int
    created_at: str
    updated_at: str


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """What the envelope of an event tells a view."""

    workspace_id: WorkspaceId
    seq: int
    version: int
    timestamp: str
    actor: Actor


ItemT = TypeVar("ItemT", bound=Item)  # the row's type


class Rows(Protocol):
    """Where a view's rows are kept while it folds."""

    def get(self, kind: type[ItemT], id_: str) -> ItemT | None:
        """The row as it stands, or None."""
        ...

    def put(self, row: Item) -> None:
        """Write the row whole."""
        ...

    def drop(self, kind: type[Item], id_: str) -> None:
        """Remove the row; removing none is fine."""
        ...


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """What of a row can be searched: words in lower case, a space before and behind each. Titles count for more."""

    titles: str = ""
    others: str = ""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One read model. `version` changes whenever the fold would give other rows.

    `takes` are the kinds of events that its fold is called with, each with all that derive from it.
    `searched` says by which words its rows are found; such a view has one collection, and its fold looks at
    a row before it writes it.
    """

    name: str
    version: int
    collections: tuple[tuple[str, type[Item]], ...]
    fold: Callable[[Rows, Event, Stamp], None]
    takes: tuple[type[Event], ...] = (Event,)
    searched: Callable[[Item], Searched] | None = None


def revised(row: ItemT, stamp: Stamp, **changes: object) -> ItemT:
    """The row after an event of its own subject."""
    return msgspec.structs.replace(row, version=stamp.version, updated_at=stamp.timestamp, **changes)


def touched(row: ItemT, stamp: Stamp, **changes: object) -> ItemT:
    """The row after an event of another subject: its version stays."""
    return msgspec.structs.replace(row, updated_at=stamp.timestamp, **changes)
