"""The kernel as its callers see it: commands in, answers out, streams and reads of what is durable.

submit → gates → inbox → writer → (durable) → answer
                                     └→ feed, projector, reactor, timers
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import msgspec

from moduprompt.domain.artifact.commands import EraseArtifact
from moduprompt.domain.artifact.state import ArtifactState
from moduprompt.domain.artifact.view import VIEW as ARTIFACTS_VIEW
from moduprompt.domain.artifact.view import ArtifactItem, artifact_id
from moduprompt.domain.decider import ArtifactFacts, Command, Observation, Timer
from moduprompt.domain.item import View
from moduprompt.domain.registry import UPCASTERS, UnreadableEvent, Upcasters
from moduprompt.domain.user.commands import CreateUser
from moduprompt.domain.user.events import UserCreated
from moduprompt.domain.user.state import UserState
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.kernel.cabinet import Cabinet, new_ledger
from moduprompt.kernel.clock import token_sha256
from moduprompt.kernel.feed import POSITION_S, Feed
from moduprompt.kernel.gates import GATES, digest_of, key_reused
from moduprompt.kernel.inbox import Inbox, Pending
from moduprompt.kernel.judgement import ARTIFACT_ERASED, Judged, Order, Outside, Wanted, record
from moduprompt.kernel.keys import Hold, KeysInUse
from moduprompt.kernel.ledger import ChainBroken, Ledger
from moduprompt.kernel.meters import Meters
from moduprompt.kernel.past import Past
from moduprompt.kernel.ports import ArtifactStore, Clock, Hand, Mint, Observer, Pulse
from moduprompt.kernel.projector import Projector
from moduprompt.kernel.quota import Quota
from moduprompt.kernel.reactor import Reactor
from moduprompt.kernel.safe_mode import likely_owner, safe_mode
from moduprompt.kernel.snapshotter import Snapshotter, Wants
from moduprompt.kernel.tickets import Ticket
from moduprompt.kernel.timers import Timers
from moduprompt.kernel.transfer import Transfer
from moduprompt.kernel.writer import CommandBroke, MovedOn, Writer, not_written
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    TRACE_ID_MAX,
    Accepted,
    Actor,
    Answer,
    Code,
    CommandEnvelope,
    CommandId,
    Damage,
    Micros,
    Refused,
    RefusedAnswer,
    Rejection,
    RunId,
    TextRef,
    UserId,
    WorkspaceId,
    refusal,
)
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.memory.snapshots import NoSnapshots
from moduprompt.storage.port import (
    Append,
    EventLog,
    KeyRow,
    SnapshotStore,
    StorageFailed,
    StorageFull,
    StoredEvent,
    ViewStore,
)

GATE_PASSES_MAX: Final = 3  # while what the policy looked at keeps changing; then the client comes again
SNAPSHOTTER: Final = "snapshotter"
UNWRITTEN: Final = (Refused, StorageFailed, CommandBroke, ChainBroken, UnreadableEvent)
ARTIFACTS: Final = ARTIFACTS_VIEW.name
KERNEL: Final = Actor(kind="system", id="kernel", label="mpd")

Begun: TypeAlias = Answer | Pending
"""A command on its way: answered by a gate, or queued for the writer."""

log = logging.getLogger(__name__)


class Kernel:
    """One daemon's kernel over one log."""

    def __init__(
        self,
        event_log: EventLog,
        view_store: ViewStore,
        *,
        views: tuple[View, ...],
        clock: Clock,
        mint: Mint,
        artifacts: ArtifactStore,
        observer: Observer,
        snapshots: SnapshotStore | None = None,
        position_s: float = POSITION_S,
        upcasters: Upcasters = UPCASTERS,
        damages: tuple[Damage, ...] = (),
    ) -> None:
        """With `damages` it is in safe mode: it reads, and refuses every order."""
        self.damages = damages
        self._log = event_log
        self._clock = clock
        self._mint = mint
        self.artifacts = artifacts
        self._observer = observer
        self.view_store = view_store
        self.meters = Meters()
        self.hindered: dict[str, str] = {}  # a part by its name, and why it doesn't do its work
        self.feed = Feed(event_log, position_s=position_s, upcasters=upcasters, meters=self.meters)
        self.projector = Projector(
            event_log, views, store=view_store, feed=self.feed, upcasters=upcasters, meters=self.meters
        )
        self.past = Past(event_log, upcasters=upcasters)
        snapshots = snapshots or NoSnapshots()
        self.cabinet = Cabinet(
            event_log,
            loaded=self._loaded,
            lost=self._lost,
            is_idle=self._is_idle,
            durable=self.feed.head,
            snapshots=snapshots,
            upcasters=upcasters,
        )
        self.transfer = Transfer(event_log, self.cabinet, artifacts=artifacts, upcasters=upcasters)
        self._timers = Timers(clock, fire=self._fire, load=self._wake_up)
        self._reactor = Reactor(clock=clock)
        self._snapshotter = Snapshotter(
            snapshots, self.cabinet, clock=clock, head=self.feed.head, wants=self._wants
        )
        self._inbox = Inbox(self.meters)
        self._rejections = Quota(clock)
        self._outside = self._make_outside()
        self._writer = Writer(
            event_log,
            self._inbox,
            ledgers=self.cabinet,
            outside=self._outside,
            settled=self._settled,
            meters=self.meters,
        )
        self._owner_id: UserId | None = None
        self._keys = KeysInUse()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, *, owner_name: str, hands: tuple[Hand, ...]) -> None:
        """Fold what there is, make the system workspace at first boot, begin to act."""
        known = await self.cabinet.open()
        if SYSTEM_WORKSPACE not in known and not self.damages:
            await self._first_boot(owner_name)
            await self.cabinet.open()
        await self._survey()
        self._owner_id = await self._find_owner()
        self._tasks = [
            asyncio.create_task(self._writer.run(), name="writer"),
            asyncio.create_task(self.projector.run(), name="projector"),
            asyncio.create_task(self._timers.run(), name="timers"),
            asyncio.create_task(self.cabinet.run(self._clock), name="cabinet"),
            asyncio.create_task(self._snapshotter.run(), name=SNAPSHOTTER),
        ]
        for task in self._tasks:
            task.add_done_callback(self._watch)
        self._reactor.start(() if self.damages else hands)

    async def stop(self) -> None:
        """Drain: end the streams, decide what is queued, let go of the hands."""
        self.feed.drain()
        await self._reactor.stop()
        self._inbox.close()
        if self._tasks:
            await asyncio.wait({self._tasks[0]})
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await self._snapshotter.finish()
        self._tasks = []

    async def until_broken(self) -> None:
        """Returns when the writer or the timers have ended, which neither does before `stop`."""
        writer, _, timers, *_ = self._tasks
        done, _ = await asyncio.wait({writer, timers}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled() and (fault := task.exception()) is not None:
                log.error("kernel.broke", exc_info=fault, extra={"task": task.get_name()})

    @property
    def owner_id(self) -> UserId:
        """The local owner, minted at first boot."""
        assert self._owner_id is not None, "BUG: asked before the start"
        return self._owner_id

    def now(self) -> Micros:
        """The daemon's time."""
        return self._clock.now()

    def waiting(self) -> int:
        """How many commands wait for the writer."""
        return len(self._inbox)

    def hindrances(self) -> dict[str, str]:
        """Which parts don't do their work at this moment, and why: for whoever asks whether it is ready."""
        stopped, overtaken = self.projector.broken, self.cabinet.overtaken()
        views = {} if stopped is None else {"views": f"stopped: {stopped}"}
        writer = {"writer": f"overtaken in {', '.join(overtaken)}"} if overtaken else {}
        unwritable = self.cabinet.unwritable()
        disk = {} if unwritable is None else {"disk": not_written(unwritable).message}
        return self.hindered | views | writer | disk

    def waited_s(self) -> float:
        """How long the oldest command has waited for the writer, at least."""
        return self._inbox.waited_s()

    def pulse(self) -> Pulse:
        """What a watchdog compares: orders that wait, and orders that were answered, one way or the other."""
        return Pulse(waiting=self._inbox.asked - self._inbox.answered, answered=self._inbox.answered)

    async def read_events(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[StoredEvent]:
        """Stored events after a sequence, in order."""
        return await self._log.read(workspace_id, after=after, limit=limit)

    def new_command_id(self) -> CommandId:
        """An id for a command that was just decoded."""
        return CommandId(self._mint.new_id())

    async def submit(
        self, envelope: CommandEnvelope, *, actor: Actor, command_id: CommandId, trace_id: str
    ) -> Answer:
        """Judge one command; the answer stands on durable events."""
        ticket = Ticket(envelope, actor=actor, command_id=command_id, trace_id=trace_id)
        return await self.finish(ticket, await self.begin(ticket))

    async def begin(self, ticket: Ticket) -> Begun:
        """Pass the gates and be queued: what is begun later by the same caller is decided later."""
        if self.damages:
            return _refused(ticket, safe_mode(self.damages))
        ticket.leaves_event = False
        hold = await self._keys.take(ticket.actor, ticket.envelope.idempotency_key)
        try:
            return await self._pass_gates(ticket, hold)
        except Refused as refused:
            return _refused(ticket, refused.rejection)
        except StorageFailed as fault:
            return _not_stored(ticket, fault)
        finally:
            hold.leave()

    async def finish(self, ticket: Ticket, begun: Begun) -> Answer:
        """The answer to what was begun."""
        passes = 1
        while isinstance(begun, Pending):
            try:
                return await self._answered(begun)
            except MovedOn as moved:
                if passes == GATE_PASSES_MAX:
                    return _refused(ticket, moved.rejection)
                passes += 1
                begun = await self.begin(ticket)
            except Refused as refused:
                return _refused(ticket, refused.rejection)
            except StorageFailed as fault:
                return _not_stored(ticket, fault)
        return begun

    async def _answered(self, pending: Pending) -> Answer:
        order, judged = pending.order, await pending.answer
        if order.text_ref is not None and _is_erased(judged):
            await self.artifacts.erase(
                order.command.workspace_id, order.text_ref.ref
            )  # it was erased meanwhile
        return _answer(order, judged)

    async def execute(self, command: Command, *, key: str) -> Answer:
        """A command of the kernel's own: a report, a timer. It passes no gate but its key's."""
        if self.damages:
            raise Refused(safe_mode(self.damages))
        order = Order(
            command=command,
            command_id=self.new_command_id(),
            trace_id=key[-TRACE_ID_MAX:],
            actor=KERNEL,
            key=key,
            digest=digest_of(command),
        )
        hold = await self._keys.take(KERNEL, key)
        try:
            ledger = await self.cabinet.load(command.workspace_id)
            used = await self.find_key(ledger.workspace_id, actor=KERNEL, key=key)
            if used is not None and used.digest == order.digest:
                return await self.answer_again(used)
            reused = key_reused(used, key) if used is not None else None
            pending = self._inbox.put(order, workspace_id=ledger.workspace_id, hold=hold, refused=reused)
        finally:
            hold.leave()
        return _answer(order, await pending.answer)

    async def find(self, workspace_id: WorkspaceId) -> Ledger | None:
        """The workspace, loaded; None where there is none."""
        return await self.cabinet.find(workspace_id)

    async def look(self, workspace_id: WorkspaceId) -> Ledger | None:
        """As `find`, for reads: they go on while the disk takes no writes."""
        return await self.cabinet.look(workspace_id)

    async def find_key(self, workspace_id: WorkspaceId, *, actor: Actor, key: str) -> KeyRow | None:
        """The accepted use of a key."""
        return await self._log.find_key(workspace_id, actor=f"{actor.kind}:{actor.id}", key=key)

    async def answer_again(self, used: KeyRow) -> Accepted:
        """The answer that was given then, from the log."""
        count = used.last_seq - used.first_seq + 1
        stored = (
            await self._log.read(used.answer_workspace, after=used.first_seq - 1, limit=count)
            if count
            else []
        )
        return Accepted(
            command_id=used.command_id,
            trace_id=used.trace_id,
            seq_global=used.last_seq,
            events=tuple(msgspec.Raw(each.data) for each in stored),
        )

    async def _pass_gates(self, ticket: Ticket, hold: Hold) -> Begun:
        for gate in GATES:
            verdict = await gate(ticket, self)
            if isinstance(verdict, Accepted):
                return verdict
            if verdict is not None:
                return self._refuse(ticket, verdict, hold=hold)
        command = ticket.known_command()
        order = Order(
            command=command,
            command_id=ticket.command_id,
            trace_id=ticket.trace_id,
            actor=ticket.actor,
            key=ticket.envelope.idempotency_key,
            digest=ticket.digest,
            expected_version=ticket.envelope.expected_version,
            text_ref=await self._store_text(command, ticket.known_ledger()),
            observed=await self._observe(command),
            relied_on=ticket.relied_on,
        )
        return self._inbox.put(order, workspace_id=ticket.known_ledger().workspace_id, hold=hold)

    def _refuse(self, ticket: Ticket, rejection: Rejection, *, hold: Hold) -> Begun:
        if not ticket.leaves_event or not self._rejections.has_room(ticket.actor):
            return _refused(ticket, rejection)
        order = Order(
            command=ticket.known_command(),
            command_id=ticket.command_id,
            trace_id=ticket.trace_id,
            actor=ticket.actor,
        )
        home = ticket.known_ledger().workspace_id
        return self._inbox.put(order, workspace_id=home, hold=hold, refused=rejection)

    async def _store_text(self, command: Command, ledger: Ledger) -> TextRef | None:
        text = command.text()
        if text is None:
            return None
        data = text.encode()
        ref = content_hash(data)
        if ledger.find(ArtifactState, ref) is None:  # what was erased is refused, and not stored for that
            await self.artifacts.put(command.workspace_id, data)
        return TextRef(ref=ref, chars=len(text))

    async def _observe(self, command: Command) -> Observation:
        if not isinstance(command, EraseArtifact):
            return await self._observer.observe(command)
        home = command.workspace_id
        await self.projector.wait_for(home, self.feed.head(home), of=(ARTIFACTS,))
        row = await self.view_store.row(ARTIFACTS, artifact_id(home, command.ref))
        if row is None:
            return None
        item = msgspec.json.decode(row[1], type=ArtifactItem)
        return ArtifactFacts(run_id=RunId(item.from_id) if item.kind == "recording" else None)

    async def _find_owner(self) -> UserId:
        """Kept: it can't change, and is asked for while the log can't be read."""
        system = await self.cabinet.find(SYSTEM_WORKSPACE)
        owner = next(iter(system.every(UserState)), None) if system is not None else None
        assert owner is not None or self.damages, "BUG: first boot makes the owner"
        return owner.user_id if owner is not None else likely_owner(self.cabinet.ledgers())

    def _make_outside(self) -> Outside:
        return Outside(
            now=self._clock.now,
            new_id=self._mint.new_id,
            token_digest=lambda ws, run: token_sha256(self._mint.run_token(ws, run)),
            new_ledger=new_ledger,
            may_leave_rejection=self._rejections.take,
        )

    def _watch(self, task: asyncio.Task[None]) -> None:
        fault = None if task.cancelled() else task.exception()
        if fault is None:
            return
        log.critical("kernel.task_died", exc_info=fault, extra={"task": task.get_name()})
        if task.get_name() == SNAPSHOTTER:  # which saves time and nothing else
            return
        self._inbox.close()  # without all of its parts the kernel takes nothing more
        for pending in self._inbox.take(len(self._inbox)):
            pending.fail(Refused(_unavailable(fault)))

    def _settled(self, workspace_id: WorkspaceId, commit: Sequence[Judged]) -> None:
        facts = [fact for judged in commit for fact in judged.facts]
        if facts:
            self.feed.publish(workspace_id, facts)
            self.projector.wake(workspace_id)
        for judged in commit:
            for wanted in judged.wanted:
                self._reactor.update(wanted)
                self._timers.update(wanted)
            self._snapshotter.settled(judged.ledger, judged.seq)

    def _loaded(self, ledger: Ledger, wanted: tuple[Wanted, ...]) -> None:
        self.feed.set_head(ledger.workspace_id, ledger.seq)
        self.projector.wake(ledger.workspace_id)
        for each in () if self.damages else wanted:
            self._reactor.update(each)
            self._timers.update(each)

    def _lost(self, workspace_id: WorkspaceId) -> None:
        self._reactor.drop(workspace_id)  # its timers are refused as they fire, and then they are gone

    def _wants(self, workspace_id: WorkspaceId) -> Wants:
        return Wants(
            due_at=self._timers.first_due(workspace_id), has_work=self._reactor.has_work(workspace_id)
        )

    def _is_idle(self, ledger: Ledger) -> bool:
        is_durable = ledger.seq == self.feed.head(ledger.workspace_id)
        return is_durable and not self._reactor.has_work(ledger.workspace_id)

    async def _survey(self) -> None:
        """Load what wants hands or is not known well enough; of all others, when their first timer is due."""
        for resting in await self.cabinet.survey():
            head, note = resting.head, resting.note
            self.feed.set_head(head.workspace_id, head.seq)
            self.projector.wake(head.workspace_id)
            if note is None or note.has_work:
                with suppress(Refused):  # a damaged one is marked, and the others go on
                    await self.cabinet.find(head.workspace_id)
            elif note.due_at is not None:
                self._timers.expect(head.workspace_id, note.due_at)

    async def _wake_up(self, workspace_id: WorkspaceId) -> bool:
        try:
            await self.cabinet.find(workspace_id)
        except Refused:
            return True  # it is out of reach until the next start
        except StorageFailed as fault:
            log.warning("timer.late", extra={"workspace_id": workspace_id, "why": str(fault)})
            return False
        return True

    async def _fire(self, timer: Timer) -> bool:
        try:
            await self.execute(timer.command, key=timer.name)
        except UNWRITTEN as fault:  # whatever it was: the timer comes again
            log.warning("timer.refused", extra={"timer": timer.name, "why": str(fault)})
            return self.cabinet.is_out_of_reach(timer.command.workspace_id)
        return True

    async def _first_boot(self, owner_name: str) -> None:
        owner_id = UserId(self._mint.new_id())
        order = Order(
            command=CreateUser(workspace_id=SYSTEM_WORKSPACE, name=owner_name),
            command_id=self.new_command_id(),
            trace_id="first-boot",
            actor=KERNEL,
        )
        decided = [
            WorkspaceCreated(workspace_id=SYSTEM_WORKSPACE, name="system", owner_id=owner_id),
            UserCreated(user_id=owner_id, name=owner_name),
        ]
        ledger = new_ledger(SYSTEM_WORKSPACE)
        judged = record(ledger, order, decided=list(decided), outside=self._outside)
        part = Append(
            workspace_id=SYSTEM_WORKSPACE,
            expected_seq=0,
            epoch=ledger.epoch,
            head_hash=ledger.head_hash,
            events=tuple(fact.stored for fact in judged.facts),
        )
        await self._log.append([part])


def _is_erased(judged: Judged) -> bool:
    why = judged.rejection
    return why is not None and (why.details or {}).get("reason") == ARTIFACT_ERASED


def _answer(order: Order, judged: Judged) -> Answer:
    events = tuple(msgspec.Raw(fact.stored.data) for fact in judged.facts)
    if judged.rejection is not None:
        return RefusedAnswer(
            command_id=order.command_id, trace_id=order.trace_id, rejection=judged.rejection, events=events
        )
    return Accepted(
        command_id=order.command_id, trace_id=order.trace_id, seq_global=judged.seq, events=events
    )


def _refused(ticket: Ticket, rejection: Rejection) -> RefusedAnswer:
    return RefusedAnswer(command_id=ticket.command_id, trace_id=ticket.trace_id, rejection=rejection)


def _not_stored(ticket: Ticket, fault: StorageFailed) -> RefusedAnswer:
    log.error("storage.failed", exc_info=fault, extra={"trace_id": ticket.trace_id})
    return _refused(ticket, not_written(fault) if isinstance(fault, StorageFull) else _unavailable(fault))


def _unavailable(fault: BaseException) -> Rejection:
    return refusal(
        Code.UNAVAILABLE,
        "the store can't be read or written at this moment",
        hint="send it again with the same idempotency key",
        details={"reason": type(fault).__name__},
    )
