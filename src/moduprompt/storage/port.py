"""What the kernel asks of a store.

`EventLog` is the truth: appends are atomic, durable when they return, gapless per
workspace and fenced by an epoch. `ViewStore` is a cache of folds: it may be dropped at
any time, and keeps each view's position in the same transaction as its rows.
`SnapshotStore` saves folding: it may be dropped at any time too, and what is not whole in it is not there.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Stamp, View
from moduprompt.protocol import CommandId, Micros, WorkspaceId
from moduprompt.views.search_words import Query

READ_MAX = 10_000  # rows of one read; a reader that wants more comes again

ItemT = TypeVar("ItemT", bound=Item)


class StorageFailed(Exception):
    """The store could not do it; whether a write reached the disk is unknown."""


class StorageFull(StorageFailed):
    """There is no room, or the medium is read-only: it takes no writes. Whether one reached it is as unknown."""


class StorageTooNew(Exception):
    """The data was written by a newer version of this program."""


class HeadMoved(Exception):
    """Somebody else owns or has moved this workspace: this writer must stop."""


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it lies in the log. `data` is hashed and served verbatim."""

    seq: int
    subject_id: str
    data: bytes


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted use of an idempotency key: its digest and the events of its answer.

    The events are those with `first_seq <= seq <= last_seq`; none where `last_seq < first_seq`.
    """

    actor: str
    key: str
    digest: bytes
    command_id: CommandId
    trace_id: str
    answer_workspace: WorkspaceId
    first_seq: int
    last_seq: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where a workspace's log ends. `epoch` fences writers.

    `imported_to` is how far the log reaches of one that came from elsewhere. A longer log was adopted.
    """

    workspace_id: WorkspaceId
    seq: int
    head_hash: str
    epoch: int
    imported_to: int | None = None

    def is_whole(self) -> bool:
        """Whether its import, if there was one, is finished."""
        return self.imported_to is None or self.seq >= self.imported_to


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """What one workspace gets in a batch: `events` follow `expected_seq` without a gap.

    A workspace that does not exist is made by the append at sequence 0 in epoch 1, so
    that it comes to be together with its first event. `imported_to` is given by imports alone.
    """

    workspace_id: WorkspaceId
    expected_seq: int
    epoch: int
    head_hash: str
    events: tuple[StoredEvent, ...]
    keys: tuple[KeyRow, ...] = ()
    imported_to: int | None = None


def assert_follows(part: Append) -> None:
    """Broken code, not a broken world: a log with a gap could never be read again."""
    numbers = [event.seq for event in part.events]
    first = part.expected_seq + 1
    assert numbers == list(range(first, first + len(numbers))), (
        f"BUG: events {numbers[:5]} of workspace {part.workspace_id} do not follow {part.expected_seq}"
    )


class EventLog(Protocol):
    """The append-only log of all workspaces of one daemon."""

    async def append(self, batch: Sequence[Append]) -> None:
        """All of it, durably, or nothing. Raises HeadMoved, StorageFull or StorageFailed.

        A key that is taken fails the batch: one command must not be carried out twice.
        """
        ...

    async def claim(self, workspace_id: WorkspaceId, *, held: int | None = None) -> Head:
        """Own the workspace from here on: its head with a new epoch; made when it is new.

        Who owned it in epoch `held` goes on in that one, if it is still the stored one; otherwise it was
        overtaken: raises HeadMoved and changes nothing. Whatever is read afterwards is durable.
        """
        ...

    async def heads(self) -> list[Head]:
        """All workspaces, in the order they came to be."""
        ...

    async def read(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[StoredEvent]:
        """Events with `seq > after`, in order, at most `limit`."""
        ...

    async def read_stream(
        self, workspace_id: WorkspaceId, *, subject_id: str, after: int, limit: int
    ) -> list[StoredEvent]:
        """One subject's events with `seq > after`, in order, at most `limit`."""
        ...

    async def find_key(self, workspace_id: WorkspaceId, *, actor: str, key: str) -> KeyRow | None:
        """The accepted use of a key, or None."""
        ...

    async def close(self) -> None:
        """Let go of everything; closing twice is fine."""
        ...


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a snapshot: some states of one kind, or some entries of the index. `data` is the kernel's.

    `version` is that of the state's type; a snapshot with a piece of another version does not fit.
    """

    number: int
    kind: str
    version: str
    data: bytes


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece as a note names it, so that another one in its place is noticed."""

    number: int
    digest: bytes


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of a workspace: as of which event, of which parts, and what nobody will ask for.

    `due_at` is when its first timer is due, `has_work` whether hands are wanted: both hold while the log
    ends at `seq`, for the program whose timers and intents have `wants_version`.
    """

    workspace_id: WorkspaceId
    seq: int
    head_hash: str
    last_time: Micros
    parts: tuple[Part, ...]
    states: int
    wants_version: str
    due_at: Micros | None = None
    has_work: bool = False


class SnapshotStore(Protocol):
    """Snapshots of workspaces, which may be lost, and are never half there."""

    async def notes(self) -> list[Note]:
        """The newest snapshot of each workspace. Raises StorageFailed where the file is damaged."""
        ...

    async def note(self, workspace_id: WorkspaceId) -> Note | None:
        """Of one workspace."""
        ...

    async def read(self, note: Note, *, after: int, limit: int) -> list[Piece]:
        """The note's pieces with `number > after`, in order. Raises StorageFailed where one is not the one it names."""
        ...

    async def add(self, workspace_id: WorkspaceId, pieces: Sequence[Piece]) -> None:
        """Keep pieces that belong to no snapshot until a note is published that names them.

        One of the same number takes the place of the one before.
        """
        ...

    async def publish(self, note: Note, pieces: Sequence[Piece]) -> None:
        """Add the last pieces, and from now on this is the workspace's snapshot; the rest is let go.

        In one transaction: before it the note before stands, after it this one. Raises StorageFailed
        where the store has not every piece that the note names.
        """
        ...

    async def drop(self, workspace_id: WorkspaceId) -> None:
        """Let go of a snapshot that can't be used; dropping none is fine."""
        ...

    async def close(self) -> None:
        """Let go of everything; closing twice is fine."""
        ...


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way into a view; `event` is None for what belongs to no aggregate."""

    event: Event | None
    stamp: Stamp
    event_id: str = ""


class ViewBroke(Exception):
    """A view can't take an event. Nothing of the batch was kept."""

    def __init__(self, view: View, step: Step, fault: BaseException) -> None:
        super().__init__(
            f"view {view.name} can't take event {step.stamp.seq} ({step.event_id}) "
            f"of workspace {step.stamp.workspace_id}: {type(fault).__name__}"
        )
        self.view = view
        self.step = step


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a view has come in one workspace: the sequence and the id of the last event it took."""

    workspace_id: WorkspaceId
    seq: int
    event_id: str = ""


class ViewRows(Protocol):
    """Read models as their readers see them: always those of the edition that serves."""

    async def position(self, view: View, workspace_id: WorkspaceId) -> int:
        """The last sequence that the view holds; 0 for a view of another version."""
        ...

    async def rows(
        self, collection: str, *, workspace_id: WorkspaceId | None, after: str, limit: int
    ) -> list[tuple[str, bytes]]:
        """(id, JSON) with `id > after` in the order of ids; of all workspaces where None."""
        ...

    async def answering(
        self, view: View, query: Query, *, workspace_id: WorkspaceId, strength: int, behind: str, limit: int
    ) -> list[tuple[str, bytes]]:
        """(id, JSON) of the rows that answer a query so well and no better, the newest first; at most `limit`.

        From the one behind the row `behind` on, from the newest where there is no such row. A row is as old as
        the event that first made it. Nothing for a view that is not `searched`.
        """
        ...

    async def row(self, collection: str, id_: str) -> tuple[WorkspaceId, bytes] | None:
        """One row and its workspace, or None; of the workspace that came first, where several have one of this id."""
        ...


class Shadow(Protocol):
    """A second edition of a view, folded beside the one that serves, which nobody reads yet."""

    async def apply(self, steps: Sequence[Step]) -> None:
        """As `ViewStore.apply`, into this edition alone."""
        ...

    async def position(self, workspace_id: WorkspaceId) -> int:
        """The last sequence it holds."""
        ...

    async def take_over(self) -> None:
        """Serve from now on, in one transaction; the edition that served is gone."""
        ...

    async def discard(self) -> None:
        """Throw it away; doing so twice, or after it took over, changes nothing."""
        ...


class ViewStore(ViewRows, Protocol):
    """Rows of read models, and how far each view has come in each workspace.

    Readers use `ViewRows`; what stands here beside it is for the projector alone.
    """

    async def apply(self, views: Sequence[View], steps: Sequence[Step]) -> None:
        """Fold steps into the views' rows and move their positions, in one transaction.

        Steps at or before a view's position are passed over, so applying twice is harmless. A view
        of another version than the one that serves starts from nothing. Raises ViewBroke.
        """
        ...

    async def standings(self, view: View) -> list[Standing]:
        """Of every workspace that the view has taken an event of; none for a view of another version."""
        ...

    async def count(self, view: View) -> int:
        """How many rows the edition that serves has."""
        ...

    async def forget(self, workspace_id: WorkspaceId) -> None:
        """Drop all rows and positions of a workspace, in every view: it is folded from its first event."""
        ...

    async def shadow(self, view: View) -> Shadow:
        """An empty edition beside the one that serves. A former one that nobody finished is gone."""
        ...

    async def close(self) -> None:
        """Let go of everything; closing twice is fine. Shadows are thrown away."""
        ...
