"""The domain as a dialogue: given these facts, when this is ordered, then that follows.

    scene = Scene()
    scene.given(ProjectCreated(...))
    scene.when(RenameProject(...)).then(ProjectRenamed(...))
    scene.when(RenameProject(...)).refused("project_archived")

A scene folds events with the deciders alone and lets facts have their consequences as the
kernel does: breadth first, each event folded and then shown to every decider, at most
`REACTION_DEPTH_MAX` waves. Ids, time, seed and tokens are numbers, so that every story
gives the same events each time it is told. The order of checks before `decide` is not
here, but for the one that a decider relies on: the subject exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import TypeVar

from moduprompt.domain.decider import (
    REACTION_DEPTH_MAX,
    Command,
    Context,
    Decider,
    Event,
    Intent,
    Observation,
    RepositoryFacts,
    State,
    Timer,
)
from moduprompt.domain.deciders import DECIDERS, VIEWS
from moduprompt.domain.item import Item, Stamp, View
from moduprompt.domain.registry import DECIDER_OF, REACTING
from moduprompt.protocol import (
    Actor,
    ArtifactRef,
    Micros,
    Rejection,
    TextRef,
    UserId,
    WorkspaceId,
    missing,
    to_micros,
    to_timestamp,
)
from moduprompt.views.memory import MemoryRows

S = TypeVar("S", bound=State)
E = TypeVar("E", bound=Event)
I = TypeVar("I", bound=Item)  # noqa: E741 - the row's type


def an_id(number: int) -> str:
    """The id with this number: small numbers are easy to see in a failing test."""
    return f"00000000-0000-7000-8000-{number:012x}"


NOW = to_micros("2026-01-01T00:00:00.000000Z")
WORKSPACE = WorkspaceId(an_id(0xA1))
OWNER = Actor(kind="user", id=UserId(an_id(0xB1)))
OTHER = Actor(kind="user", id=UserId(an_id(0xB2)))
KERNEL = Actor(kind="system", id="kernel")
SEEN = RepositoryFacts(path="/srv/repo", branch="main", head="c0ffee", dirty=False)


def text_ref(text: str) -> TextRef:
    """The artifact that a text would be."""
    return TextRef(ref=ArtifactRef(f"blake3:{sha256(text.encode()).hexdigest()}"), chars=len(text))


def token_digest(run_id: str) -> str:
    """What the log would keep of a run's token."""
    return sha256(f"token of {run_id}".encode()).hexdigest()


class Outcome:
    """What came of one command."""

    def __init__(self, events: list[Event], rejection: Rejection | None) -> None:
        self.events = events
        self.rejection = rejection

    def then(self, *expected: Event) -> None:
        """Exactly these facts, in this order."""
        assert self.rejection is None, self.rejection
        assert self.events == list(expected)

    def then_wires(self, *expected: str) -> None:
        """Facts of these names, in this order."""
        assert self.rejection is None, self.rejection
        assert [event.wire for event in self.events] == list(expected)

    def then_nothing(self) -> None:
        """The wish was fulfilled already."""
        self.then()

    def refused(self, reason: str, *, code: str = "validation_failed") -> Rejection:
        """No, by this rule; `reason` is the kind of thing where it does not exist."""
        assert self.rejection is not None, self.events
        details = self.rejection.details or {}
        said = details.get("kind" if code == "not_found" else "reason")
        assert (self.rejection.code.value, said) == (code, reason)
        assert len(self.rejection.message) <= 1_000
        return self.rejection

    def one(self, kind: type[E]) -> E:
        """The only fact of a kind."""
        found = [event for event in self.events if isinstance(event, kind)]
        assert len(found) == 1, (self.rejection, self.events)
        return found[0]

    def subject(self) -> str:
        """The id of what the first fact is about."""
        assert self.events, self.rejection
        return self.events[0].subject().id


class Folded:
    """A World over one dictionary: the fold of every event so far."""

    def __init__(self, workspace_id: WorkspaceId) -> None:
        self.workspace_id = workspace_id
        self.states: dict[tuple[type[State], str], State] = {}

    def find(self, state: type[S], id_: str) -> S | None:
        """The state of one aggregate, or None."""
        found = self.states.get((state, id_))
        return found if isinstance(found, state) else None

    def related(self, state: type[S], to: str) -> Iterable[S]:
        """Those whose index field has this value now."""
        field = state.index_by
        return [] if field is None else [each for each in self.every(state) if getattr(each, field) == to]

    def every(self, state: type[S]) -> Iterable[S]:
        """All of one kind, in the order they came to be."""
        return [each for each in self.states.values() if isinstance(each, state)]

    def record(self, event: Event) -> None:
        """Fold one event into its own aggregate."""
        decider = DECIDER_OF[event.kind]
        key = (decider.state, event.subject().id)
        self.states[key] = decider.evolve(self.states.get(key), event)


class Scene:
    """One workspace, and what was said and done in it."""

    def __init__(self, workspace_id: WorkspaceId = WORKSPACE, *, views: tuple[View, ...] = VIEWS) -> None:
        self.is_frozen = False  # as the kernel would say of an imported workspace
        self.world = Folded(workspace_id)
        self._views = views
        self.now = NOW
        self.history: list[Event] = []
        self.rows = MemoryRows()
        self._minted = 0x1000
        self._versions: dict[str, int] = {}

    def given(self, *events: Event) -> Scene:
        """These facts stand already."""
        for event in events:
            self._record(event, OWNER)
        return self

    def when(
        self,
        command: Command,
        *,
        actor: Actor = OWNER,
        observed: Observation = SEEN,
        seed: int = 0,
    ) -> Outcome:
        """Somebody orders this; what follows from it has happened when this returns."""
        context = self.context(actor=actor, observed=observed, seed=seed, text=command.text())
        decided = self.decide(command, context)
        if isinstance(decided, Rejection):
            return Outcome([], decided)
        return Outcome(list(self._unfold(decided, context)), None)

    def decide(self, command: Command, context: Context) -> list[Event] | Rejection:
        """The bare decision; nothing happens."""
        decider = DECIDER_OF[command.kind]
        id_ = command.subject_id()
        own = None if id_ is None else self.world.find(decider.state, id_)
        if id_ is not None and own is None and not command.begins:
            return missing(command.kind, id_)
        return decider.decide(command, own, self.world, context)

    def copy(self) -> Scene:
        """The same story so far, to be told on in another way; nobody sees it."""
        other = Scene(self.world.workspace_id, views=())
        other.world.states = dict(self.world.states)
        other.now, other.history = self.now, list(self.history)
        other._minted, other._versions = self._minted, dict(self._versions)
        other.is_frozen = self.is_frozen
        return other

    def context(
        self,
        *,
        actor: Actor = OWNER,
        observed: Observation = SEEN,
        seed: int = 0,
        text: str | None = None,
    ) -> Context:
        """What the shell would hand in."""
        return Context(
            now=self.now,
            actor=actor,
            seed=seed,
            new_id=self._mint,
            token_digest=token_digest,
            text_ref=None if text is None else text_ref(text),
            observed=observed,
            is_frozen=self.is_frozen,
        )

    def later(self, seconds: int) -> None:
        """Time passes."""
        self.now = Micros(self.now + seconds * 1_000_000)

    def state(self, kind: type[S], id_: str) -> S:
        """The state of one aggregate that exists."""
        found = self.world.find(kind, id_)
        assert found is not None, f"no {kind.__name__} {id_}"
        return found

    def row(self, kind: type[I], id_: str) -> I:
        """What people see of one aggregate."""
        found = self.rows.get(kind, id_)
        assert found is not None, f"no {kind.__name__} {id_}"
        return found

    def intents(self) -> list[Intent]:
        """What is wanted from outside, by all of them."""
        found: list[Intent] = []
        for own in self.world.states.values():
            found.extend(_decider_of(own).intents(own, self.world))
        return found

    def timers(self) -> list[Timer]:
        """What waits for its time."""
        found: list[Timer] = []
        for own in self.world.states.values():
            found.extend(_decider_of(own).timers(own, self.world.workspace_id))
        return found

    def _unfold(self, decided: list[Event], context: Context) -> Iterator[Event]:
        wave = decided
        for _ in range(REACTION_DEPTH_MAX):
            following: list[Event] = []
            for event in wave:
                self._record(event, context.actor)
                yield event
                for decider in REACTING[type(event)]:
                    following.extend(decider.react(event, self.world, context))
            if not following:
                return
            wave = following
        raise AssertionError(f"BUG: reactions do not end: {[event.wire for event in wave]}")

    def _record(self, event: Event, actor: Actor) -> None:
        self.world.record(event)
        self.history.append(event)
        id_ = event.subject().id
        self._versions[id_] = self._versions.get(id_, 0) + 1
        stamp = Stamp(
            workspace_id=self.world.workspace_id,
            seq=len(self.history),
            version=self._versions[id_],
            timestamp=to_timestamp(self.now),
            actor=actor,
        )
        for view in self._views:
            view.fold(self.rows, event, stamp)

    def _mint(self) -> str:
        self._minted += 1
        return an_id(self._minted)


def _decider_of(own: State) -> Decider:
    return next(decider for decider in DECIDERS if decider.state is type(own))
