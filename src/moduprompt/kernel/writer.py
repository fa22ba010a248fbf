"""The one task that decides. It takes what waits, judges it in memory, and has it written.

While the disk works on one batch the next one is judged. Answers go out when their
batch is durable, never before; then, and only then, the feed, the projector, the
reactor and the timers hear of it. After a storage error nobody knows what the disk
holds: everything in flight is answered `unavailable`, memory is forgotten and folded
again from the log.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from moduprompt.kernel.inbox import Inbox, Pending
from moduprompt.kernel.judgement import Judged, Outside, judge, reject
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.meters import Meters
from moduprompt.protocol import Code, Refused, Rejection, WorkspaceId, refusal
from moduprompt.storage.port import (
    Append,
    EventLog,
    HeadMoved,
    KeyRow,
    StorageFailed,
    StorageFull,
    StoredEvent,
)

BATCH_MAX: Final = 256  # commands of one transaction: the disk's cost is spread, the wait stays short
BITE_MAX: Final = 32
"""Commands judged at one go: some tenths of a millisecond, then it is the turn of everybody else.

An idle disk gets the first bite at once, so that it works while the rest of a crowd is judged.
"""

log = logging.getLogger(__name__)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A pending order with its judgement."""

    pending: Pending
    home: Ledger
    judged: Judged


class Ledgers(Protocol):
    """Where the writer finds the workspaces it owns."""

    def get(self, workspace_id: WorkspaceId) -> Ledger | None:
        """The ledger, when it is in memory."""
        ...

    async def load(self, workspace_id: WorkspaceId) -> Ledger:
        """The ledger, folded from the log when it is not in memory. Raises Refused."""
        ...

    def adopt(self, ledger: Ledger) -> None:
        """A new workspace has come to be."""
        ...

    def forget(self, workspace_ids: Iterable[WorkspaceId]) -> None:
        """What is in memory of these can't be trusted any more. Must not fail, so it reads nothing."""
        ...


class CommandBroke(Exception):
    """Our code failed on a command. Nothing of it was written."""


class MovedOn(Refused):
    """What a gate relied on has changed before the decision: ask the gates again."""


class Writer:
    """Owns every ledger; nobody else changes one."""

    def __init__(
        self,
        event_log: EventLog,
        inbox: Inbox,
        *,
        ledgers: Ledgers,
        outside: Outside,
        settled: Callable[[WorkspaceId, Sequence[Judged]], None],
        meters: Meters,
    ) -> None:
        self._log = event_log
        self._inbox = inbox
        self._ledgers = ledgers
        self._outside = outside
        self._settled = settled
        self._meters = meters

    async def run(self) -> None:
        """Until the inbox is closed and empty."""
        writing: asyncio.Task[bool] | None = None
        batch: list[Done] = []
        while True:
            if writing is not None and writing.done():
                if not writing.result():  # what was judged meanwhile stands on what was not written
                    self._give_up(batch, StorageFailed("the batch before it was not written"))
                    batch = []
                writing = None
            await self._judge_waiting(batch)
            if writing is None and batch:
                writing, batch = self._commit(batch), []
            if writing is None and self._inbox.is_closed and not self._inbox:
                return
            await self._pause(is_full=len(batch) >= BATCH_MAX)

    async def _pause(self, *, is_full: bool) -> None:
        if self._inbox and not is_full:
            await asyncio.sleep(0)
        else:
            await self._inbox.until_stirred()

    async def _judge_waiting(self, batch: list[Done]) -> None:
        for pending in self._inbox.take(min(BITE_MAX, BATCH_MAX - len(batch))):
            try:
                batch.append(await self._judge(pending))
            except (Refused, StorageFailed) as refused:
                pending.fail(refused)
            except Exception as fault:  # one broken command must not end the writer for all
                log.exception("command.broke", extra={"command_id": pending.order.command_id})
                broke = CommandBroke(f"command {pending.order.command_id}: {type(fault).__name__}")
                broke.__cause__ = fault
                pending.fail(broke)

    async def _judge(self, pending: Pending) -> Done:
        workspace_id = pending.workspace_id
        ledger = self._ledgers.get(workspace_id) or await self._ledgers.load(workspace_id)
        outside = self._outside
        if pending.refused is not None:
            refused = reject(ledger, pending.order, rejection=pending.refused, outside=outside)
            return Done(pending=pending, home=ledger, judged=refused)
        for id_, version in pending.order.relied_on:
            if ledger.version(id_) != version:
                raise MovedOn(_moved_on(id_))
        judged = judge(ledger, pending.order, outside)
        if judged.ledger is not ledger:
            self._ledgers.adopt(judged.ledger)
        return Done(pending=pending, home=ledger, judged=judged)

    def _commit(self, batch: list[Done]) -> "asyncio.Task[bool] | None":
        try:
            appends = to_appends(batch)  # now, before anything else is judged on top of them
        except Exception as fault:  # nothing is written, so nothing in memory holds
            log.exception("commit.broke")
            self._give_up(batch, fault)
            return None
        writing = asyncio.create_task(self._write(batch, appends), name="commit")
        writing.add_done_callback(lambda _: self._inbox.stir())
        return writing

    async def _write(self, batch: list[Done], appends: list[Append]) -> bool:
        clock, meters = asyncio.get_running_loop().time, self._meters
        try:
            if appends:
                began = clock()
                await self._log.append(appends)
                meters.commit_s.observe(clock() - began)
                meters.batch_commands.observe(len(batch))
                meters.commits += 1
        except (StorageFailed, HeadMoved) as fault:
            self._give_up(batch, fault)
            return False
        except Exception as fault:  # whatever it was, nobody knows what the disk holds
            log.exception("commit.broke")
            self._give_up(batch, fault)
            return False
        for done in batch:
            done.pending.settle(done.judged)
        self._tell(batch)
        return True

    def _tell(self, batch: list[Done]) -> None:
        settled: dict[WorkspaceId, list[Judged]] = {}
        for done in batch:
            settled.setdefault(done.judged.ledger.workspace_id, []).append(done.judged)
        for workspace_id, commit in settled.items():
            try:
                self._settled(workspace_id, commit)
            except Exception:  # what is durable is answered, whoever else can't take it
                log.exception("commit.untold", extra={"workspace_id": workspace_id})

    def _give_up(self, batch: list[Done], fault: Exception) -> None:
        self._meters.commits_failed += 1
        log.error("commit.failed", extra={"fault": str(fault), "commands": len(batch)})
        touched = [ledger for done in batch for ledger in (done.home, done.judged.ledger)]
        self._ledgers.forget({ledger.workspace_id for ledger in touched})
        refused = not_written(fault)
        for done in batch:
            done.pending.fail(Refused(refused))


def not_written(fault: Exception) -> Rejection:
    """What is said to whom an order could not be written for."""
    if isinstance(fault, StorageFull):
        return refusal(
            Code.UNAVAILABLE,
            "the disk takes no writes",
            hint="see that it is writable and has room, then send it again with the same idempotency key",
            details={"reason": "storage_full"},
        )
    return refusal(
        Code.UNAVAILABLE,
        "the log could not be written",
        hint="send it again with the same idempotency key",
        details={"reason": "storage_failed"},
    )


def to_appends(batch: list[Done]) -> list[Append]:
    """What each workspace gets: its events in the order of the decisions, its keys.

    None where nothing is left to write: refusals beyond their quota.
    """
    ledgers: dict[WorkspaceId, Ledger] = {}
    events: dict[WorkspaceId, list[StoredEvent]] = {}
    keys: dict[WorkspaceId, list[KeyRow]] = {}
    for done in batch:
        for ledger in (done.home, done.judged.ledger):
            ledgers[ledger.workspace_id] = ledger
        events.setdefault(done.judged.ledger.workspace_id, []).extend(f.stored for f in done.judged.facts)
        row = _key_row(done)
        if row is not None:
            keys.setdefault(done.home.workspace_id, []).append(row)
    return [
        Append(
            workspace_id=ledger.workspace_id,
            expected_seq=ledger.seq - len(events.get(ledger.workspace_id, [])),
            epoch=ledger.epoch,
            head_hash=ledger.head_hash,
            events=tuple(events.get(ledger.workspace_id, [])),
            keys=tuple(keys.get(ledger.workspace_id, [])),
        )
        for ledger in ledgers.values()
        if events.get(ledger.workspace_id) or keys.get(ledger.workspace_id)
    ]


def _key_row(done: Done) -> KeyRow | None:
    order, judged = done.pending.order, done.judged
    if order.key is None or judged.rejection is not None:
        return None
    return KeyRow(
        actor=f"{order.actor.kind}:{order.actor.id}",
        key=order.key,
        digest=order.digest,
        command_id=order.command_id,
        trace_id=order.trace_id,
        answer_workspace=judged.ledger.workspace_id,
        first_seq=judged.seq - len(judged.facts) + 1,
        last_seq=judged.seq,
    )


def _moved_on(id_: str) -> Rejection:
    return refusal(
        Code.UNAVAILABLE,
        f"what the policy relied on ({id_}) has changed in between",
        hint="send it again with the same idempotency key",
    )
