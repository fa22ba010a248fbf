# pyright: reportPrivateUsage=false
# A planted fault replaces what is nobody else's business.
"""Deliberate faults of the kernel and its store, to see that the simulation notices them.

Each is a context manager that swaps one function for a broken one; product code knows
nothing of them. `PLANTED` is the one list.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from typing import Any, Final

import msgspec

from moduprompt.domain.decider import Event, State, Timer
from moduprompt.domain.item import Item, View
from moduprompt.kernel import judgement, projector, writer
from moduprompt.kernel.cabinet import Cabinet
from moduprompt.kernel.feed import Feed, Served
from moduprompt.kernel.judgement import Judged, Order, Outside
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ledger import Capture, Draft, Ledger
from moduprompt.kernel.reactor import Reactor
from moduprompt.kernel.timers import Timers
from moduprompt.protocol import (
    Accepted,
    Code,
    EventEnvelope,
    Micros,
    WorkspaceId,
    refusal,
    to_micros,
    to_timestamp,
)
from moduprompt.storage.folding import Batch, Place
from moduprompt.storage.hashing import piece_digest
from moduprompt.storage.port import Append, KeyRow, Part, Piece, Step, StorageFailed, StoredEvent
from moduprompt.storage.sqlite import connection
from moduprompt.storage.sqlite import log as sqlite_log
from moduprompt.storage.sqlite.connection import Database
from moduprompt.storage.sqlite.editions import Editions
from moduprompt.storage.sqlite.known_keys import Filter, Use
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.snapshots import SqliteSnapshots
from moduprompt.storage.sqlite.views import SqliteShadow
from tests.support.simulation.swapping import swapped

Plant = Callable[[], AbstractContextManager[None]]


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """A fault by its name, and what it breaks."""

    name: str
    what: str
    plant: Plant


def one_in(number: int) -> Callable[[], bool]:
    """True for every so many-th asking."""
    asked = count(1)
    return lambda: next(asked) % number == 0


def _touched(batch: list[writer.Done]) -> set[WorkspaceId]:
    return {ledger.workspace_id for done in batch for ledger in (done.home, done.judged.ledger)}


def answer_before_sync() -> AbstractContextManager[None]:
    async def broken(self: writer.Writer, batch: list[writer.Done], appends: list[Append]) -> bool:
        for done in batch:
            done.pending.settle(done.judged)
        self._tell(batch)
        try:
            await self._log.append(appends)
        except StorageFailed:
            self._ledgers.forget(_touched(batch))
            return False
        return True

    return swapped(writer.Writer, "_write", broken)


def never_sync() -> AbstractContextManager[None]:
    whole = sqlite_log.open_writer

    def broken(*where: Any, **how: Any) -> Database:
        return whole(*where, **{**how, "synchronous": "OFF"})

    return swapped(sqlite_log, "open_writer", broken)


def yes_to_a_failed_write() -> AbstractContextManager[None]:
    whole = writer.Writer._give_up

    def broken(self: writer.Writer, batch: list[writer.Done], fault: Exception) -> None:
        if not isinstance(fault, StorageFailed):
            whole(self, batch, fault)
            return
        self._ledgers.forget(_touched(batch))
        for done in batch:
            done.pending.settle(done.judged)

    return swapped(writer.Writer, "_give_up", broken)


def memory_kept_after_a_failed_write() -> AbstractContextManager[None]:
    def broken(self: Cabinet, workspace_ids: Iterable[WorkspaceId]) -> None:
        return

    return swapped(Cabinet, "forget", broken)


def keys_in_a_transaction_of_their_own() -> AbstractContextManager[None]:
    whole = SqliteLog._append

    def broken(self: SqliteLog, batch: Sequence[Append]) -> None:
        whole(self, [msgspec.structs.replace(part, keys=()) for part in batch])
        with self._write.transaction():
            for part in batch:
                ws = self._numbers[part.workspace_id]
                rows = [sqlite_log._to_row(ws, row) for row in part.keys]
                self._write.write_many(self._sql["add_key"], rows)

    return swapped(SqliteLog, "_append", broken)


def key_row_dropped() -> AbstractContextManager[None]:
    whole, now = writer._key_row, one_in(9)

    def broken(done: writer.Done) -> KeyRow | None:
        return None if now() else whole(done)

    return swapped(writer, "_key_row", broken)


def head_row_not_moved() -> AbstractContextManager[None]:
    return _in_sql("move_head", "head_hash = ?", "head_hash = coalesce(head_hash, ?)")


def epoch_not_raised() -> AbstractContextManager[None]:
    return _in_sql("next_epoch", "epoch + 1", "max(epoch, 1)")


def _in_sql(name: str, whole: str, broken: str) -> AbstractContextManager[None]:
    load = connection.load_queries

    def loaded(file: str) -> dict[str, str]:
        queries = load(file)
        assert whole in queries[name], f"BUG: {name} has changed"
        return {**queries, name: queries[name].replace(whole, broken)}

    return swapped(sqlite_log, "load_queries", loaded)


def _in_envelopes(change: Callable[[EventEnvelope], EventEnvelope]) -> AbstractContextManager[None]:
    def broken(**fields: Any) -> EventEnvelope:
        return change(EventEnvelope(**fields))

    return swapped(judgement, "EventEnvelope", broken)


def sequence_used_twice() -> AbstractContextManager[None]:
    whole, now = judgement.encode, one_in(24)

    def broken(said: object) -> bytes:
        if isinstance(said, EventEnvelope) and now():
            return whole(msgspec.structs.replace(said, seq_global=max(1, said.seq_global - 1)))
        return whole(said)

    return swapped(judgement, "encode", broken)


def event_time_decreases() -> AbstractContextManager[None]:
    now = one_in(12)

    def change(event: EventEnvelope) -> EventEnvelope:
        earlier = to_timestamp(type(to_micros(event.timestamp))(to_micros(event.timestamp) - 60_000_000))
        return msgspec.structs.replace(event, timestamp=earlier) if now() else event

    return _in_envelopes(change)


def chained_to_the_wrong_event() -> AbstractContextManager[None]:
    before: dict[WorkspaceId, str] = {}
    now = one_in(12)

    def change(event: EventEnvelope) -> EventEnvelope:
        stale = before.get(event.workspace_id, event.prev_hash)
        before[event.workspace_id] = event.prev_hash
        return msgspec.structs.replace(event, prev_hash=stale) if now() else event

    return _in_envelopes(change)


def stream_number_used_twice() -> AbstractContextManager[None]:
    whole, now = judgement.Draft.version, one_in(9)

    def broken(self: Draft, id_: str) -> int:
        number = whole(self, id_)
        return max(1, number - 1) if now() else number

    return swapped(Draft, "version", broken)


def reaction_dropped() -> AbstractContextManager[None]:
    now = one_in(3)

    def forgetful(react: Callable[..., list[Event]]) -> Callable[..., list[Event]]:
        def broken(*told: Any) -> list[Event]:
            followed = react(*told)
            return followed[:-1] if followed and now() else followed

        return broken

    deciders = {
        kind: tuple(msgspec.structs.replace(each, react=forgetful(each.react)) for each in reacting)
        for kind, reacting in judgement.REACTING.items()
    }
    return swapped(judgement, "REACTING", deciders)


def rejected_command_leaves_its_events() -> AbstractContextManager[None]:
    whole, now = judgement.judge, one_in(9)

    def broken(ledger: Ledger, order: Order, outside: Outside) -> Judged:
        judged = whole(ledger, order, outside)
        if judged.rejection is not None or not judged.facts or not now():
            return judged
        return msgspec.structs.replace(judged, rejection=refusal(Code.POLICY_DENIED, "no"))

    return swapped(writer, "judge", broken)


def rejected_command_moves_a_version() -> AbstractContextManager[None]:
    whole = judgement.judge

    def broken(ledger: Ledger, order: Order, outside: Outside) -> Judged:
        judged = whole(ledger, order, outside)
        subject = order.command.subject_id()
        if judged.rejection is not None and subject is not None and ledger.version(subject):
            ledger.set_version(subject, ledger.version(subject) + 1)
        return judged

    return swapped(writer, "judge", broken)


def event_skipped_in_a_view() -> AbstractContextManager[None]:
    whole, now = projector.to_step, one_in(15)

    def broken(stored: StoredEvent, *more: Any) -> Step:
        step = whole(stored, *more)
        return msgspec.structs.replace(step, event=None) if now() else step

    return swapped(projector, "to_step", broken)


def view_position_ahead_of_its_rows() -> AbstractContextManager[None]:
    whole = Editions.apply

    def broken(self: Editions, views: Sequence[View], steps: Sequence[Step]) -> None:
        whole(self, views, [msgspec.structs.replace(step, event=None) for step in steps[:-1]])
        whole(self, views, steps)

    return swapped(Editions, "apply", broken)


def row_lost_in_a_batch() -> AbstractContextManager[None]:
    whole, now = Batch.changed, one_in(9)

    def broken(self: Batch) -> list[tuple[Place, Item | None]]:
        changed = list(whole(self))
        return changed[:-1] if len(changed) > 1 and now() else changed

    return swapped(Batch, "changed", broken)


def rows_kept_after_a_failed_write() -> AbstractContextManager[None]:
    def broken(self: Editions) -> None:
        return

    return swapped(Editions, "_trust_nothing", broken)


def rebuild_takes_over_too_early() -> AbstractContextManager[None]:
    whole = SqliteShadow.apply

    async def broken(self: SqliteShadow, steps: Sequence[Step]) -> None:
        late = [*steps[:-1], msgspec.structs.replace(steps[-1], event=None)]
        await whole(self, late)

    return swapped(SqliteShadow, "apply", broken)


def wake_up_lost() -> AbstractContextManager[None]:
    whole, now = Feed._wake, one_in(2)

    def broken(self: Feed, workspace_id: WorkspaceId) -> None:
        if not now():
            whole(self, workspace_id)

    return swapped(Feed, "_wake", broken)


def cursor_off_by_one() -> AbstractContextManager[None]:
    whole, now = Feed._read, one_in(20)

    async def broken(self: Feed, workspace_id: WorkspaceId, after: int) -> list[Served]:
        return await whole(self, workspace_id, after + 1 if now() else after)

    return swapped(Feed, "_read", broken)


def timer_fired_twice() -> AbstractContextManager[None]:
    whole = Kernel._fire

    async def broken(self: Kernel, timer: Timer) -> bool:
        await self.execute(timer.command, key=f"{timer.name}/again")
        return await whole(self, timer)

    return swapped(Kernel, "_fire", broken)


def repeat_answered_differently() -> AbstractContextManager[None]:
    whole = Kernel.answer_again

    async def broken(self: Kernel, used: KeyRow) -> Accepted:
        answer = await whole(self, used)
        return msgspec.structs.replace(answer, seq_global=self.feed.head(used.answer_workspace))

    return swapped(Kernel, "answer_again", broken)


def repeat_carried_out_again() -> AbstractContextManager[None]:
    async def broken(self: Kernel, workspace_id: WorkspaceId, **use: Any) -> KeyRow | None:
        return None

    return swapped(Kernel, "find_key", broken)


def used_key_taken_for_fresh() -> AbstractContextManager[None]:
    def broken(self: Filter, use: Use) -> bool:
        return True

    return swapped(Filter, "is_surely_fresh", broken)


def command_answered_and_not_written() -> AbstractContextManager[None]:
    whole, now = writer.to_appends, one_in(15)

    def broken(batch: list[writer.Done]) -> list[Append]:
        return [] if now() else whole(batch)

    return swapped(writer, "to_appends", broken)


def snapshot_not_atomic() -> AbstractContextManager[None]:
    whole = SqliteSnapshots.add

    async def broken(self: SqliteSnapshots, workspace_id: WorkspaceId, pieces: Sequence[Piece]) -> None:
        await whole(self, workspace_id, pieces)
        note = await self.note(workspace_id)
        if note is not None:
            told = {part.number: part for part in note.parts} | {
                piece.number: Part(number=piece.number, digest=piece_digest(piece.data)) for piece in pieces
            }
            await self.publish(msgspec.structs.replace(note, parts=tuple(told.values())), ())

    return swapped(SqliteSnapshots, "add", broken)


def snapshot_forgets_versions() -> AbstractContextManager[None]:
    whole = Ledger.restore

    def broken(self: Ledger, states: dict[str, State], versions: dict[str, int], **kind: Any) -> None:
        whole(self, states, dict.fromkeys(versions, 1), **kind)

    return swapped(Ledger, "restore", broken)


def snapshot_forgets_what_changed_meanwhile() -> AbstractContextManager[None]:
    whole = Ledger.capture

    def broken(self: Ledger, **how: Any) -> Capture:
        captured = whole(self, **how)
        return captured if captured.is_whole else msgspec.structs.replace(captured, states={})

    return swapped(Ledger, "capture", broken)


def due_index_misses_a_timer() -> AbstractContextManager[None]:
    whole, now = Timers.first_due, one_in(2)

    def broken(self: Timers, workspace_id: WorkspaceId) -> Micros | None:
        due_at = whole(self, workspace_id)
        return None if now() else due_at

    return swapped(Timers, "first_due", broken)


def work_index_misses_an_intent() -> AbstractContextManager[None]:
    def broken(self: Reactor, workspace_id: WorkspaceId) -> bool:
        return False

    return swapped(Reactor, "has_work", broken)


PLANTED: Final[tuple[Planted, ...]] = (
    Planted(
        name="answer_before_sync", what="a command is answered before it is written", plant=answer_before_sync
    ),
    Planted(name="never_sync", what="the log is written with synchronous=OFF", plant=never_sync),
    Planted(
        name="yes_to_a_failed_write",
        what="a write that failed is answered with a yes",
        plant=yes_to_a_failed_write,
    ),
    Planted(
        name="memory_kept_after_a_failed_write",
        what="after a storage error the kernel trusts its memory",
        plant=memory_kept_after_a_failed_write,
    ),
    Planted(
        name="command_answered_and_not_written",
        what="a batch is answered and never handed to the log",
        plant=command_answered_and_not_written,
    ),
    Planted(
        name="keys_in_a_transaction_of_their_own",
        what="events and idempotency rows are not one transaction",
        plant=keys_in_a_transaction_of_their_own,
    ),
    Planted(name="key_row_dropped", what="an idempotency row is not written", plant=key_row_dropped),
    Planted(name="head_row_not_moved", what="the head row keeps its old hash", plant=head_row_not_moved),
    Planted(
        name="epoch_not_raised", what="claiming a workspace leaves its epoch as it is", plant=epoch_not_raised
    ),
    Planted(
        name="sequence_used_twice",
        what="an event carries the sequence of the one before it",
        plant=sequence_used_twice,
    ),
    Planted(
        name="stream_number_used_twice",
        what="an event carries the stream number of the one before it",
        plant=stream_number_used_twice,
    ),
    Planted(
        name="event_time_decreases",
        what="an event is earlier than the one before it",
        plant=event_time_decreases,
    ),
    Planted(
        name="chained_to_the_wrong_event",
        what="`prev_hash` is of the event before the last",
        plant=chained_to_the_wrong_event,
    ),
    Planted(
        name="reaction_dropped", what="the last consequence of an event is left out", plant=reaction_dropped
    ),
    Planted(
        name="rejected_command_leaves_its_events",
        what="a command is refused and its events are stored",
        plant=rejected_command_leaves_its_events,
    ),
    Planted(
        name="rejected_command_moves_a_version",
        what="a refused command changes the state in memory",
        plant=rejected_command_moves_a_version,
    ),
    Planted(
        name="event_skipped_in_a_view",
        what="the projector passes an event over",
        plant=event_skipped_in_a_view,
    ),
    Planted(
        name="view_position_ahead_of_its_rows",
        what="a view moves its position before its rows",
        plant=view_position_ahead_of_its_rows,
    ),
    Planted(
        name="row_lost_in_a_batch",
        what="a batch of views loses a row it has changed",
        plant=row_lost_in_a_batch,
    ),
    Planted(
        name="rebuild_takes_over_too_early",
        what="a rebuilt view serves without the last event of each page",
        plant=rebuild_takes_over_too_early,
    ),
    Planted(
        name="rows_kept_after_a_failed_write",
        what="after a storage error the views trust their memory",
        plant=rows_kept_after_a_failed_write,
    ),
    Planted(name="wake_up_lost", what="a commit does not wake those who follow it", plant=wake_up_lost),
    Planted(
        name="cursor_off_by_one", what="a subscription reads on one event too late", plant=cursor_off_by_one
    ),
    Planted(
        name="timer_fired_twice",
        what="a timer fires a second time under another key",
        plant=timer_fired_twice,
    ),
    Planted(
        name="repeat_answered_differently",
        what="a repeated command is answered with the head of today",
        plant=repeat_answered_differently,
    ),
    Planted(
        name="repeat_carried_out_again",
        what="the look-up of an idempotency key finds nothing",
        plant=repeat_carried_out_again,
    ),
    Planted(
        name="used_key_taken_for_fresh",
        what="the filter of idempotency keys takes a used one for fresh",
        plant=used_key_taken_for_fresh,
    ),
    Planted(
        name="snapshot_not_atomic",
        what="a snapshot counts before all of it is written",
        plant=snapshot_not_atomic,
    ),
    Planted(
        name="snapshot_forgets_versions",
        what="a snapshot has the states and not their versions",
        plant=snapshot_forgets_versions,
    ),
    Planted(
        name="snapshot_forgets_changes",
        what="a snapshot leaves out what has changed since the one before",
        plant=snapshot_forgets_what_changed_meanwhile,
    ),
    Planted(
        name="due_index_misses_a_timer",
        what="a timer of a workspace that is not loaded is not known",
        plant=due_index_misses_a_timer,
    ),
    Planted(
        name="work_index_misses_an_intent",
        what="a workspace that wants hands is not known to",
        plant=work_index_misses_an_intent,
    ),
)
"""All of them."""
