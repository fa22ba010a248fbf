"""The shape of every aggregate: orders in, facts out, state folded from facts.

    decide(command, own, world, context) -> list[Event] | Rejection
    evolve(own, event)                   -> own
    react(event, world, context)         -> list[Event]

`decide` refuses and never records; `evolve` records and never refuses. Neither reads a
clock, a random source, a file or a socket: the context hands in what the world knows.
A wish already fulfilled decides `[]`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

import msgspec

from moduprompt.policy.rights import Right
from moduprompt.protocol import Actor, Id, Micros, Rejection, RunId, Subject, TextRef, WorkspaceId

REACTION_DEPTH_MAX: Final = 8  # a chain this long is a loop, not a consequence


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order. `wire` is its name for ever; `key` the field that names its subject.

    A create has no key: what it makes gets its id from the context. `later` names the fields that came after
    the version's first release, each with a default: an order that leaves them at it is the same order as
    before, so that a repeat over an upgrade is known again by its idempotency key.
    """

    wire: ClassVar[str]
    version: ClassVar[int] = 1
    kind: ClassVar[str]
    key: ClassVar[str | None] = None
    internal: ClassVar[bool] = False
    right: ClassVar[Right | None] = None
    text_field: ClassVar[str | None] = None
    begins: ClassVar[bool] = False  # whether its subject, named by a key, may begin with it
    later: ClassVar[frozenset[str]] = frozenset()

    workspace_id: Id[WorkspaceId]

    def subject_id(self) -> str | None:
        """The id of what this is about; None for a create."""
        return None if self.key is None else str(getattr(self, self.key))

    def identity(self) -> Mapping[str, object] | Self:
        """What two uses of one idempotency key must have in common: the fields, without later ones at their default."""
        if not self.later:
            return self
        fields = msgspec.structs.fields(type(self))
        added = {field.name: field.default for field in fields if field.name in self.later}
        return {
            name: value
            for name, value in msgspec.structs.asdict(self).items()
            if name not in added or value != added[name]
        }

    def text(self) -> str | None:
        """Free text that becomes an artifact before the decision."""
        return None if self.text_field is None else getattr(self, self.text_field)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact: the payload of an event. `key` is the field that names its subject."""

    wire: ClassVar[str]
    version: ClassVar[int] = 1
    kind: ClassVar[str]
    key: ClassVar[str]

    def subject(self) -> Subject:
        """Whose stream it belongs to."""
        return Subject(kind=self.kind, id=str(getattr(self, self.key)))


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One aggregate's state: what its decisions need, nothing more.

    `index_by` names a field by whose value others look it up (`World.related`).
    """

    index_by: ClassVar[str | None] = None


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that should be so in the world outside and is not known to be so yet.

    `name` is derived from events, so carrying an intent out twice is harmless and a
    restart finds the same ones again.
    """

    name: str
    workspace_id: WorkspaceId


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A due time that stands in the state. `name` is the key of the command it fires."""

    name: str
    due_at: Micros
    command: Command


class RepositoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a git repository before a decision that needs it."""

    path: str
    branch: str
    head: str
    dirty: bool


class ArtifactFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that the workspace's events name. `run_id`: whose recording it is."""

    run_id: RunId | None = None


class CapsuleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How long a capsule may be here, by the configuration."""

    chars_max: int


Observation: TypeAlias = RepositoryFacts | ArtifactFacts | CapsuleFacts | Rejection | None
"""What the shell looked at for a command, or why it could not be looked at."""

S = TypeVar("S", bound=State)
T = TypeVar("T")
Decision: TypeAlias = list[Event] | Rejection


@runtime_checkable
class World(Protocol):
    """The other aggregates of the same workspace, as they stand at this decision."""

    @property
    def workspace_id(self) -> WorkspaceId:
        """The workspace all of it belongs to."""
        ...

    def find(self, state: type[S], id_: str) -> S | None:
        """The state of one aggregate, or None."""
        ...

    def related(self, state: type[S], to: str) -> Iterable[S]:
        """Those of one kind whose `index_by` field has this value, in the order they came to be."""
        ...

    def every(self, state: type[S]) -> Iterable[S]:
        """All of one kind, in the order they came to be."""
        ...


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What is not deterministic, handed in. `text_ref` is the artifact of the command's text.

    `is_frozen`: the workspace was imported and nobody has adopted it yet, which its log can't say.
    """

    now: Micros
    actor: Actor
    seed: int
    new_id: Callable[[], str]
    token_digest: Callable[[str], str]
    text_ref: TextRef | None = None
    observed: Observation = None
    is_frozen: bool = False

    def mint(self, kind: Callable[[str], T]) -> T:
        """A fresh id of a kind."""
        return kind(self.new_id())

    def stored_text(self) -> TextRef:
        """The reference of a text that the command must have."""
        assert self.text_ref is not None, "BUG: the shell stores a command's text before its decision"
        return self.text_ref


def no_reaction(_event: Any, _world: World, _context: Context) -> list[Event]:
    """For aggregates that nothing outside them moves."""
    return []


def no_intents(_own: Any, _world: World) -> tuple[Intent, ...]:
    """For aggregates that need nothing done outside."""
    return ()


def wakes_none(_event: Any, _world: World) -> tuple[str, ...]:
    """For aggregates whose intents depend on themselves alone."""
    return ()


def no_timers(_own: Any, _workspace_id: WorkspaceId) -> tuple[Timer, ...]:
    """For aggregates that wait for no time."""
    return ()


class Decider(msgspec.Struct, frozen=True, kw_only=True):
    """One aggregate, as the kernel sees it.

    The functions are typed by their own unions where they are written; here they are
    taken together, so the kernel hands each only what its own unions list. `reacts_to` and `woken_on`
    are the unions of what `react` and `woken_by` take.
    """

    noun: str
    state: type[State]
    commands: tuple[type[Command], ...]
    events: tuple[type[Event], ...]
    decide: Callable[[Any, Any, World, Context], Decision]
    evolve: Callable[[Any, Any], State]
    react: Callable[[Any, World, Context], list[Event]] = no_reaction
    reacts_to: tuple[type[Event], ...] = ()
    intents: Callable[[Any, World], tuple[Intent, ...]] = no_intents
    woken_by: Callable[[Any, World], tuple[str, ...]] = wakes_none
    woken_on: tuple[type[Event], ...] = ()
    timers: Callable[[Any, WorkspaceId], tuple[Timer, ...]] = no_timers
