"""One command against one ledger: the facts as the log will hold them, or a refusal.

Pure but for the ids it is handed. The order is the contract's: the expected version,
then the decision, then what follows from it, breadth first and at most
`REACTION_DEPTH_MAX` deep. Nothing touches the ledger before all of it is known.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from moduprompt.domain.artifact.state import ArtifactState
from moduprompt.domain.decider import (
    REACTION_DEPTH_MAX,
    Command,
    Context,
    Event,
    Intent,
    Observation,
    Timer,
    World,
    no_intents,
    no_timers,
)
from moduprompt.domain.deciders import DECIDERS
from moduprompt.domain.registry import DECIDER_OF, REACTING, WOKEN
from moduprompt.domain.workspace.commands import AdoptWorkspace, CreateWorkspace
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.kernel.ledger import Draft, Ledger
from moduprompt.protocol import (
    COMMAND_REJECTED,
    REASON_MAX,
    Actor,
    Causality,
    Code,
    CommandId,
    CommandRejected,
    EventEnvelope,
    EventId,
    Micros,
    ProjectId,
    Rejection,
    RunId,
    Subject,
    TextRef,
    WorkspaceId,
    encode,
    invalid,
    is_id,
    missing,
    refusal,
    to_timestamp,
)
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.port import StoredEvent

EVENTS_MAX: Final = 20_000  # of one command: who adopts a workspace decides on each run that lives there
ARTIFACT_ERASED: Final = "artifact_erased"  # the reason wherever a text or a recording is no more
WANTING: Final = frozenset(
    each.noun for each in DECIDERS if each.intents is not no_intents or each.timers is not no_timers
)
"""Nouns that can want anything from outside; of the others nothing needs to be said."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A command that has passed the gates, and what they found."""

    command: Command
    command_id: CommandId
    trace_id: str
    actor: Actor
    key: str | None = None
    digest: bytes = b""
    expected_version: int | None = None
    text_ref: TextRef | None = None
    observed: Observation = None
    policy_ref: str | None = None
    relied_on: tuple[tuple[str, int], ...] = ()


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """An event in its three forms: typed, wrapped, and as bytes."""

    event: Event | None
    envelope: EventEnvelope
    stored: StoredEvent


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What one aggregate wants from outside after a decision: all of it, not what is new."""

    subject: Subject
    intents: tuple[Intent, ...]
    timers: tuple[Timer, ...]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, applied to its ledger and ready to be written."""

    ledger: Ledger
    facts: tuple[Fact, ...]
    seq: int
    wanted: tuple[Wanted, ...] = ()
    rejection: Rejection | None = None


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """Where a judgement gets what is not deterministic: the time, ids, tokens."""

    now: Callable[[], Micros]
    new_id: Callable[[], str]
    token_digest: Callable[[WorkspaceId, RunId], str]
    new_ledger: Callable[[WorkspaceId], Ledger]
    may_leave_rejection: Callable[[Actor], bool]


class IdGivenTwice(Exception):
    """The mint gave an id that something else has. Nothing was decided."""


def judge(ledger: Ledger, order: Order, outside: Outside) -> Judged:
    """Decide, apply to the ledger, and give what must be written.

    Whoever adopts a frozen workspace takes up everything that is wanted in it.
    """
    was_frozen = ledger.is_frozen
    new_id = _giving_no_id_twice(outside.new_id, ledger)
    draft = Draft(ledger)
    context = _context(ledger, order, outside=outside, new_id=new_id)
    decided = _decide(ledger, order, draft=draft, context=context)
    if isinstance(decided, Rejection):
        return reject(ledger, order, rejection=decided, outside=outside)
    if isinstance(order.command, CreateWorkspace):
        first = decided[0]
        assert isinstance(first, WorkspaceCreated), "BUG: workspace.create decides workspace.created"
        made = outside.new_ledger(first.workspace_id)
        context = _context(made, order, outside=outside, new_id=new_id)
        return _recorded(made, order, decided=decided, draft=Draft(made), context=context)
    judged = _recorded(ledger, order, decided=decided, draft=draft, context=context)
    return replace(judged, wanted=all_wanted(ledger)) if was_frozen else judged


def record(ledger: Ledger, order: Order, *, decided: list[Event], outside: Outside) -> Judged:
    """Apply what was decided, and what follows from it, to the ledger."""
    context = _context(ledger, order, outside=outside, new_id=outside.new_id)
    return _recorded(ledger, order, decided=decided, draft=Draft(ledger), context=context)


def _recorded(
    ledger: Ledger, order: Order, *, decided: list[Event], draft: Draft, context: Context
) -> Judged:
    if not decided:
        return Judged(ledger=ledger, facts=(), seq=ledger.seq)
    scribe = _Scribe(ledger, order, at=context.now, new_id=context.new_id)
    _unfold(decided, draft=draft, context=context, scribe=scribe)
    facts = tuple(scribe.facts)
    wanted = wanted_after(facts, draft)
    # From here on nothing may fail: a ledger that is ahead of its batch could never be written again.
    draft.settle()
    scribe.settle()
    return Judged(ledger=ledger, facts=facts, seq=ledger.seq, wanted=wanted)


def reject(ledger: Ledger, order: Order, *, rejection: Rejection, outside: Outside) -> Judged:
    """A refusal, with the event that says so while the actor's quota lasts; it moves nobody's version.

    A frozen workspace gets no such event: its log stays as it came until it is adopted.
    """
    if ledger.is_frozen or not outside.may_leave_rejection(order.actor):
        return Judged(ledger=ledger, facts=(), seq=ledger.seq, rejection=rejection)
    scribe = _Scribe(ledger, order, at=_time_of(ledger, outside), new_id=outside.new_id)
    reason = (rejection.details or {}).get("reason")
    payload = CommandRejected(
        command_type=order.command.wire,
        code=rejection.code.value,
        message=rejection.message[:REASON_MAX],
        reason=reason if isinstance(reason, str) else None,
    )
    subject = Subject(kind="command", id=order.command_id)
    scribe.write(COMMAND_REJECTED, 1, subject=subject, payload=encode(payload), seq_stream=1)
    scribe.settle()
    return Judged(ledger=ledger, facts=tuple(scribe.facts), seq=ledger.seq, rejection=rejection)


def wanted_after(facts: tuple[Fact, ...], world: World) -> tuple[Wanted, ...]:
    """What the touched aggregates, and those they wake, want now."""
    touched: dict[tuple[str, str], None] = {}
    for fact in facts:
        if fact.event is None:
            continue
        if fact.event.kind in WANTING:
            touched[fact.event.kind, fact.envelope.subject.id] = None
        for decider in WOKEN[type(fact.event)]:
            for id_ in decider.woken_by(fact.event, world):
                touched[decider.noun, id_] = None
    return tuple(wanted_by(noun, id_, world=world) for noun, id_ in touched)


def wanted_by(noun: str, id_: str, *, world: World) -> Wanted:
    """What one aggregate wants now."""
    decider = DECIDER_OF[noun]
    own = world.find(decider.state, id_)
    assert own is not None, "BUG: what was touched exists"
    # What is named by its hash may be in many workspaces, each of which wants for itself.
    named = id_ if is_id(id_) else f"{world.workspace_id}/{id_}"
    return Wanted(
        subject=Subject(kind=noun, id=named),
        intents=decider.intents(own, world),
        timers=decider.timers(own, world.workspace_id),
    )


def all_wanted(ledger: Ledger) -> tuple[Wanted, ...]:
    """What every aggregate wants: what a daemon that starts must take up again."""
    found = (
        wanted_by(decider.noun, id_, world=ledger)
        for decider in DECIDERS
        for id_, own in ledger.aggregates()
        if isinstance(own, decider.state)
    )
    return tuple(wanted for wanted in found if wanted.intents or wanted.timers)


def _giving_no_id_twice(mint: Callable[[], str], ledger: Ledger) -> Callable[[], str]:
    """Whatever the mint does: what is made takes nobody's place."""
    given: set[str] = set()

    def new_id() -> str:
        id_ = mint()
        if id_ in given or ledger.version(id_):
            raise IdGivenTwice(f"id {id_} is in use in workspace {ledger.workspace_id}")
        given.add(id_)
        return id_

    return new_id


def _time_of(ledger: Ledger, outside: Outside) -> Micros:
    """Event time does not decrease, whatever the clock does."""
    return max(outside.now(), ledger.last_time)


def _context(ledger: Ledger, order: Order, *, outside: Outside, new_id: Callable[[], str]) -> Context:
    return Context(
        now=_time_of(ledger, outside),
        actor=order.actor,
        seed=int(order.command_id.replace("-", ""), 16),
        new_id=new_id,
        token_digest=lambda run_id: outside.token_digest(ledger.workspace_id, RunId(run_id)),
        text_ref=order.text_ref,
        observed=order.observed,
        is_frozen=ledger.is_frozen,
    )


def _decide(ledger: Ledger, order: Order, *, draft: Draft, context: Context) -> list[Event] | Rejection:
    command = order.command
    decider = DECIDER_OF[command.kind]
    id_ = command.subject_id()
    own = None if id_ is None else ledger.find(decider.state, id_)
    actual = 0 if id_ is None or own is None else ledger.version(id_)
    if order.expected_version is not None and order.expected_version != actual:
        return refusal(
            Code.EXPECTED_VERSION_MISMATCH,
            f"{command.kind} {id_ or '(new)'} is at version {actual}, not {order.expected_version}",
            hint="read it again, and decide again",
            details={"expected_version": order.expected_version, "actual_version": actual},
        )
    if id_ is not None and own is None and not command.begins:
        return missing(command.kind, id_)
    if ledger.is_frozen and not isinstance(command, AdoptWorkspace):
        return invalid(
            "workspace_frozen",
            f"workspace {ledger.workspace_id} was imported and is frozen until somebody adopts it",
            hint=f"mpctl workspace adopt {ledger.workspace_id}",
        )
    text = order.text_ref
    if text is not None and ledger.find(ArtifactState, text.ref) is not None:
        return invalid(
            ARTIFACT_ERASED,
            f"this very text was erased in workspace {ledger.workspace_id} and does not come back",
            hint="say it in other words",
            ref=text.ref,
        )
    return decider.decide(command, own, draft, context)


def _unfold(decided: list[Event], *, draft: Draft, context: Context, scribe: "_Scribe") -> None:
    wave: list[tuple[Event, EventEnvelope | None]] = [(event, None) for event in decided]
    for _ in range(REACTION_DEPTH_MAX):
        following: list[tuple[Event, EventEnvelope | None]] = []
        for event, parent in wave:
            envelope = scribe.record(event, draft=draft, parent=parent)
            for decider in REACTING[type(event)]:
                following += [(each, envelope) for each in decider.react(event, draft, context)]
        if not following:
            return
        wave = following
    raise AssertionError(f"BUG: reactions to {scribe.order.command.wire} do not end")


class _Scribe:
    """Writes envelopes: numbers, time, chain, causes."""

    def __init__(self, ledger: Ledger, order: Order, *, at: Micros, new_id: Callable[[], str]) -> None:
        self.order = order
        self.facts: list[Fact] = []
        self._ledger = ledger
        self._new_id = new_id
        self._timestamp = to_timestamp(at)
        self._at = at
        self._head_hash = ledger.head_hash

    def record(self, event: Event, *, draft: Draft, parent: EventEnvelope | None) -> EventEnvelope:
        """One event of an aggregate."""
        assert len(self.facts) < EVENTS_MAX, f"BUG: one command decides over {EVENTS_MAX} events"
        subject = event.subject()
        own = draft.record(event, id_=subject.id)
        return self.write(
            event.wire,
            event.version,
            subject=subject,
            payload=encode(event),
            seq_stream=draft.version(subject.id),
            event=event,
            project_id=getattr(own, "project_id", None),
            parent=parent,
        )

    def write(
        self,
        event_type: str,
        schema_version: int,
        *,
        subject: Subject,
        payload: bytes,
        seq_stream: int,
        event: Event | None = None,
        project_id: ProjectId | None = None,
        parent: EventEnvelope | None = None,
    ) -> EventEnvelope:
        """One envelope, chained to the one before it."""
        envelope = EventEnvelope(
            event_id=EventId(self._new_id()),
            event_type=event_type,
            timestamp=self._timestamp,
            actor=self.order.actor,
            workspace_id=self._ledger.workspace_id,
            project_id=project_id,
            subject=subject,
            payload=msgspec.Raw(payload),
            schema_version=schema_version,
            seq_global=self._ledger.seq + len(self.facts) + 1,
            seq_stream=seq_stream,
            trace_id=self.order.trace_id,
            causality=self._cause(parent),
            policy_decision_ref=self.order.policy_ref,
            prev_hash=self._head_hash,
        )
        data = encode(envelope)
        stored = StoredEvent(seq=envelope.seq_global, subject_id=subject.id, data=data)
        self.facts.append(Fact(event=event, envelope=envelope, stored=stored))
        self._head_hash = content_hash(data)
        return envelope

    def settle(self) -> None:
        """The ledger's head moves past all of it."""
        self._ledger.advance(len(self.facts), head_hash=self._head_hash, at=self._at)

    def _cause(self, parent: EventEnvelope | None) -> Causality:
        root = self.facts[0].envelope.event_id if self.facts else None
        return Causality(
            command_id=self.order.command_id,
            parent_event_id=parent.event_id if parent else None,
            root_event_id=root,
        )
