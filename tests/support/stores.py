"""Stores under test: how each adapter is opened, and small batches to put into a log."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from moduprompt.domain.item import View
from moduprompt.protocol import CommandId, WorkspaceId
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.memory.log import MemoryLog
from moduprompt.storage.memory.snapshots import MemorySnapshots
from moduprompt.storage.memory.views import MemoryViews
from moduprompt.storage.port import Append, EventLog, Head, KeyRow, SnapshotStore, StoredEvent, ViewStore
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.snapshots import SqliteSnapshots
from moduprompt.storage.sqlite.views import SqliteViews
from tests.support.domain import an_id

W1, W2, W3 = (WorkspaceId(an_id(number)) for number in (0xC1, 0xC2, 0xC3))

OpenLog = Callable[[], Awaitable[EventLog]]
OpenSnapshots = Callable[[], Awaitable[SnapshotStore]]
OpenViews = Callable[[tuple[View, ...]], Awaitable[ViewStore]]


def memory_log(_: Path) -> OpenLog:
    """Every opening gives the same log: memory is the medium."""
    log = MemoryLog()

    async def open_it() -> EventLog:
        return log

    return open_it


def sqlite_log(folder: Path) -> OpenLog:
    """Every opening gives another connection to the same file."""

    async def open_it() -> EventLog:
        return await SqliteLog.open(folder / "log.sqlite")

    return open_it


def memory_snapshots(_: Path) -> OpenSnapshots:
    """Every opening gives the same snapshots."""
    store = MemorySnapshots()

    async def open_it() -> SnapshotStore:
        return store

    return open_it


def sqlite_snapshots(folder: Path) -> OpenSnapshots:
    """Every opening gives another connection to the same file."""

    async def open_it() -> SnapshotStore:
        return await SqliteSnapshots.open(folder / "snapshots.sqlite")

    return open_it


def memory_views(_: Path) -> OpenViews:
    """Every opening gives the same rows."""
    store = MemoryViews()

    async def open_it(views: tuple[View, ...]) -> ViewStore:
        return store

    return open_it


def sqlite_views(folder: Path) -> OpenViews:
    """Every opening gives another connection to the same file."""

    async def open_it(views: tuple[View, ...]) -> ViewStore:
        return await SqliteViews.open(folder / "views.sqlite", views=views)

    return open_it


class Tip(msgspec.Struct, frozen=True, kw_only=True):
    """Where the writer of one workspace stands."""

    workspace_id: WorkspaceId
    seq: int = 0
    epoch: int = 1

    @staticmethod
    def of(head: Head) -> "Tip":
        """Where a claimed workspace stands."""
        return Tip(workspace_id=head.workspace_id, seq=head.seq, epoch=head.epoch)

    def after(self, count: int) -> "Tip":
        """Some events later."""
        return msgspec.structs.replace(self, seq=self.seq + count)


def an_event(seq: int, *, subject: str = "s1", text: str = "") -> StoredEvent:
    """An event that says its own number."""
    return StoredEvent(seq=seq, subject_id=subject, data=f'{{"seq":{seq},"text":"{text}"}}'.encode())


def a_key(
    key: str, *, actor: str = "user:u1", seqs: tuple[int, int] = (1, 1), workspace: WorkspaceId = W1
) -> KeyRow:
    """An accepted use of a key."""
    return KeyRow(
        actor=actor,
        key=key,
        digest=key.encode(),
        command_id=CommandId(f"command of {key}"),
        trace_id=f"trace of {key}",
        answer_workspace=workspace,
        first_seq=seqs[0],
        last_seq=seqs[1],
    )


def an_append(
    tip: Tip, count: int = 1, *, keys: Sequence[KeyRow] = (), subject: str = "s1", text: str = ""
) -> Append:
    """The next so many events of a workspace."""
    events = tuple(an_event(tip.seq + n, subject=subject, text=text) for n in range(1, count + 1))
    return Append(
        workspace_id=tip.workspace_id,
        expected_seq=tip.seq,
        epoch=tip.epoch,
        head_hash=content_hash(events[-1].data if events else b""),
        events=events,
        keys=tuple(keys),
    )
