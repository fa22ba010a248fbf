"""One plain line a change: `time seq event subject: sentence`.

The same words stand in a pipe and in the picture's ticker. An event of a type this
program does not know, and a refused command, get a line too: nothing is passed over.
"""

from typing import TypeAlias, assert_never

import msgspec

from moduprompt.cli.live.names import Names
from moduprompt.cli.live.sentences import (
    approval_sentence,
    artifact_sentence,
    capsule_sentence,
    gate_sentence,
    project_sentence,
    user_sentence,
    workspace_sentence,
    worktree_sentence,
)
from moduprompt.cli.live.text import pad, plain, without_ids
from moduprompt.cli.live.work_sentences import run_sentence, session_sentence, task_sentence
from moduprompt.domain.approval.events import ApprovalEvent, ApprovalFact
from moduprompt.domain.artifact.events import ArtifactErased
from moduprompt.domain.capsule.events import CapsuleUpdated
from moduprompt.domain.decider import Event
from moduprompt.domain.gate.events import GateBlocked, GateFact, GateSatisfied
from moduprompt.domain.project.events import ProjectEvent, ProjectFact
from moduprompt.domain.run.events import RunEvent, RunFact
from moduprompt.domain.session.events import SessionEvent, SessionFact
from moduprompt.domain.task.events import TaskEvent, TaskFact
from moduprompt.domain.user.events import UserCreated, UserFact
from moduprompt.domain.workspace.events import WorkspaceEvent, WorkspaceFact
from moduprompt.domain.worktree.events import WorktreeEvent, WorktreeFact
from moduprompt.protocol import COMMAND_REJECTED, CommandRejected, EventEnvelope, Rejection, decode

SEQ_CELLS = 5  # a hundred thousand events before the columns shift
TYPE_CELLS = 27  # the longest name of an event: project.repository_attached


Fact: TypeAlias = (
    SessionFact
    | RunFact
    | TaskFact
    | WorktreeFact
    | GateFact
    | ApprovalFact
    | ProjectFact
    | WorkspaceFact
    | UserFact
    | ArtifactErased
    | CapsuleUpdated
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is told."""

    seq: int
    at: str
    event_type: str
    subject: str
    sentence: str


def to_change(envelope: EventEnvelope, event: Event | None, names: Names) -> Change:
    """What an event says. `names` come from rows that have it folded in already."""
    if envelope.event_type == COMMAND_REJECTED:
        return _change(envelope, subject=names.actor(envelope.actor), sentence=_rejected(envelope))
    if event is None:
        sentence = f"{envelope.event_type} happened; this program does not know what that is"
    else:
        sentence = to_sentence(event, names)
    return _change(envelope, subject=names.subject(envelope), sentence=sentence)


def to_line(change: Change) -> str:
    """For a pipe."""
    told = f"{change.subject}: {change.sentence}"
    return f"{to_clock(change.at)} {change.seq:>{SEQ_CELLS}} {pad(change.event_type, TYPE_CELLS)} {told}"


def to_clock(timestamp: str) -> str:
    """`15:40:03.120` of an event's time (UTC)."""
    return timestamp[11:23]


def to_sentence(event: Event, names: Names) -> str:
    """What happened, beginning with the verb."""
    fact: Fact = event  # type: ignore[assignment]  # every Event is one of its aggregate's union
    match fact:
        case SessionEvent():
            return session_sentence(fact, names)
        case RunEvent():
            return run_sentence(fact)
        case TaskEvent():
            return task_sentence(fact, names)
        case WorktreeEvent():
            return worktree_sentence(fact, names)
        case GateBlocked() | GateSatisfied():
            return gate_sentence(fact)
        case ApprovalEvent():
            return approval_sentence(fact)
        case ProjectEvent():
            return project_sentence(fact)
        case WorkspaceEvent():
            return workspace_sentence(fact)
        case UserCreated():
            return user_sentence(fact)
        case ArtifactErased():
            return artifact_sentence(fact)
        case CapsuleUpdated():
            return capsule_sentence(fact)
        case _:
            assert_never(fact)


def _change(envelope: EventEnvelope, *, subject: str, sentence: str) -> Change:
    return Change(
        seq=envelope.seq_global,
        at=plain(envelope.timestamp),
        event_type=plain(envelope.event_type),
        subject=plain(subject),  # an imported log holds what another machine wrote
        sentence=plain(sentence),
    )


def _rejected(envelope: EventEnvelope) -> str:
    said = decode(envelope.payload, CommandRejected)
    if isinstance(said, Rejection):
        return "asked for something that was refused"
    return f"asked for {plain(said.command_type)} and was refused, {plain(said.code)}: {without_ids(said.message)}"
