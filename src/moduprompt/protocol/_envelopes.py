"""What travels: commands one way; answers and events the other.

An event's stored bytes are `encode(EventEnvelope)`. They are hashed verbatim, so the
order of the fields here is the order in the log and never changes.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from moduprompt.protocol._damage import Damage
from moduprompt.protocol._errors import Rejection
from moduprompt.protocol._ids import CommandId, EventId, ProjectId, Ref, WorkspaceId

TRACE_ID_MAX: Final = 128  # the contract's bound on a client string
KEY_MAX: Final = 200  # a UUID, or a timer's name of two UUIDs and two words
NAME_MAX: Final = 200  # a name stands in one line of a terminal
REASON_MAX: Final = 1_000  # the contract's bound on metadata
TEXT_MAX: Final = 1_000_000  # characters of one prompt or comment; a larger one belongs in a file
SEQ_MAX: Final = 2**53  # what every JSON reader can hold exactly

# One visible line: no control character of ASCII or C1, and not only blanks. The look-ahead is there because
# `$` also matches before a last line break.
_ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$(?!\n)"

TraceId: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=TRACE_ID_MAX)]
IdempotencyKey: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_MAX)]
Version: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]
Seq: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]
Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=-SEQ_MAX, le=SEQ_MAX)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX, pattern=_ONE_LINE)]
Reason: TypeAlias = Annotated[str, msgspec.Meta(max_length=REASON_MAX)]
Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX)]

ActorKind: TypeAlias = Literal["user", "session", "system", "worker", "webhook"]


class Actor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did it."""

    kind: ActorKind
    id: str
    label: str | None = None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What it was done to; each subject has a stream of its own."""

    kind: str
    id: str


class Causality(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an event came from: its command, the event before it, the first one."""

    command_id: CommandId | None = None
    parent_event_id: EventId | None = None
    root_event_id: EventId | None = None


class TextRef(msgspec.Struct, frozen=True, kw_only=True):
    """Free text by reference: the artifact that holds it and its length in characters."""

    ref: Ref
    chars: Count


class CommandEnvelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order from a client. Nothing but these fields is accepted."""

    type: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX)]
    schema_version: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    payload: msgspec.Raw
    idempotency_key: IdempotencyKey | None = None
    expected_version: Version | None = None
    trace_id: TraceId | None = None


class EventEnvelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact. `seq_global` counts its workspace from 1, `seq_stream` its subject from 1."""

    event_id: EventId
    event_type: str
    timestamp: str
    actor: Actor
    workspace_id: WorkspaceId
    project_id: ProjectId | None = None
    subject: Subject
    payload: msgspec.Raw
    schema_version: Version
    seq_global: Seq
    seq_stream: Seq
    trace_id: str | None = None
    causality: Causality | None = None
    policy_decision_ref: str | None = None
    prev_hash: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a command that was carried out. `events` are stored bytes, in order."""

    accepted: Literal[True] = True
    command_id: CommandId
    trace_id: str
    seq_global: int
    events: tuple[msgspec.Raw, ...] = ()


class RefusedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a command that was refused."""

    accepted: Literal[False] = False
    command_id: CommandId
    trace_id: str
    rejection: Rejection
    events: tuple[msgspec.Raw, ...] = ()


Answer: TypeAlias = Accepted | RefusedAnswer


class CommandRejected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payload of `command.rejected`: what was asked and why not, never what it said."""

    command_type: str
    code: str
    message: str
    reason: str | None = None


COMMAND_REJECTED: Final = "command.rejected"


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/daemon/ping`."""

    status: Literal["ok"] = "ok"
    version: str
    timestamp: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer of `GET /v1/daemon/ready`. `hindered` says which parts don't do their work, and why.

    `damaged_store` is why it is in safe mode: the whole store is read only. `damaged_workspaces` are single ones that
    could not be read when they were needed; all others work.
    """

    status: Literal["ready", "starting", "draining", "safe_mode"]
    version: str
    owner_id: str
    pid: int
    data_dir: str
    workspaces: int
    live_runs: int
    hindered: dict[str, str] = {}
    damaged_store: tuple[Damage, ...] = ()
    damaged_workspaces: tuple[Damage, ...] = ()


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/events`: events after `from`, in order."""

    items: tuple[msgspec.Raw, ...]
    seq_global: int


class Page(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer of a collection: items as the view stores them, and where to go on."""

    items: tuple[msgspec.Raw, ...]
    next: str | None = None
    seq_global: int
