"""What must hold of a log, whatever happened to the machine it lies on.

Each check looks at the stored bytes and the keys alone and judges them by the contract,
not by the code that wrote them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Final

from moduprompt.domain.decider import Context, Event
from moduprompt.domain.registry import REACTING
from moduprompt.kernel.cabinet import new_ledger
from moduprompt.kernel.ledger import ChainBroken, Ledger
from moduprompt.protocol import (
    COMMAND_REJECTED,
    ArtifactRef,
    EventEnvelope,
    TextRef,
    to_micros,
)
from moduprompt.storage.hashing import content_hash, first_hash
from moduprompt.storage.port import StoredEvent
from tests.support.domain import SEEN, an_id
from tests.support.simulation.image import Image, Key, Violation, Workspace, hold
from tests.support.simulation.submitting import Promise

ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/")  # what hands report begins otherwise
TIMER: Final = re.compile(ID.pattern + r"(retry/\d+\.\d+|deadline/[0-9TZ:.-]+)")
FIRST_BOOT: Final = "first-boot"  # the trace id of the only command that has no key


def check_image(image: Image) -> dict[str, str]:
    """Everything that holds of every log. Gives the state hash of each workspace, folded from zero."""
    hashes: dict[str, str] = {}
    for workspace in image.workspaces.values():
        for check in CHECKS:
            check(workspace)
        hashes[workspace.id] = follows_through(workspace).state_hash()
    are_whole(image)
    are_timers(image)
    return hashes


def keeps(image: Image, promises: Iterable[Promise]) -> None:
    """Accepted and answered means present exactly once, byte for byte."""
    keys = {(key.home, key.actor, key.key): key for key in image.keys}
    for promise in promises:
        asked = promise.asked
        name = (asked.command.workspace_id, f"{asked.actor.kind}:{asked.actor.id}", asked.key)
        key = keys.get(name)
        if key is None:
            raise Violation("acknowledged", f"key {asked.key} of {asked.command.wire} is gone")
        _keeps(image, promise, key)


def _keeps(image: Image, promise: Promise, key: Key) -> None:
    wire, answer = promise.asked.command.wire, promise.answer
    hold("acknowledged", key.command_id == answer.command_id, f"{key.key} is another command's")
    workspace = image.workspaces.get(key.answer_in)
    held = workspace.stored[max(0, key.first_seq - 1) : key.last_seq] if workspace else ()
    told = tuple(bytes(event) for event in answer.events)
    hold("acknowledged", held == told, f"{wire}: {len(held)} events where {len(told)} were told")
    hold("acknowledged", key.last_seq == answer.seq_global, f"{key.key}: another head than was told")


def is_gapless(workspace: Workspace) -> None:
    """Sequences run from 1 to the head; each subject's too; no event stands twice."""
    expected = tuple(range(1, workspace.seq + 1))
    hold("gapless", workspace.seqs == expected, f"{workspace.id}: {len(workspace.seqs)} of {workspace.seq}")
    streams: Counter[str] = Counter()
    for number, event in enumerate(workspace.events, start=1):
        hold("gapless", event.seq_global == number, f"event {number} says {event.seq_global}")
        streams[event.subject.id] += 1
        hold("gapless", event.seq_stream == streams[event.subject.id], f"in the stream of event {number}")
    ids = {event.event_id for event in workspace.events}
    hold("gapless", len(ids) == len(workspace.events), "an event stands twice")


def is_chained(workspace: Workspace) -> None:
    """Each event names the hash of the bytes before it; the head that of the last."""
    before = first_hash(workspace.id)
    for event, data in zip(workspace.events, workspace.stored, strict=True):
        hold("chain", event.prev_hash == before, f"{workspace.id}: event {event.seq_global}")
        before = content_hash(data)
    hold("chain", workspace.head_hash == before, f"{workspace.id}: the head is of other bytes")


def is_in_time(workspace: Workspace) -> None:
    """Time does not decrease."""
    times = [to_micros(event.timestamp) for event in workspace.events]
    hold("time", times == sorted(times), workspace.id)


CHECKS: Final[tuple[Callable[[Workspace], None], ...]] = (is_gapless, is_chained, is_in_time)
"""What is asked of each workspace before it is folded."""


def follows_through(workspace: Workspace) -> Ledger:
    """What has consequences has them: each command's reactions follow it, all of them and in order."""
    ledger = new_ledger(workspace.id)
    for command_id, group in groupby(workspace.events, key=_command_of):
        expected: list[str] = []
        found: list[str] = []
        for event in group:
            if event.causality and event.causality.parent_event_id:
                found.append(event.event_type)
            fact = _replayed(ledger, event, workspace)
            expected += [each.wire for each in _reactions(fact, ledger, event)]
        hold("reactions", found == expected, f"of command {command_id}: {found}, not {expected}")
    return ledger


def are_whole(image: Image) -> None:
    """A command is there with its key and all its events, together, or not at all."""
    keyed = {key.command_id for key in image.keys}
    spans: dict[str, tuple[str, int, int]] = {}
    for workspace in image.workspaces.values():
        for command_id, group in groupby(workspace.events, key=_command_of):
            events = list(group)
            hold("whole", command_id not in spans, f"the events of command {command_id} are not together")
            spans[command_id] = (workspace.id, events[0].seq_global, events[-1].seq_global)
            _has_its_key(events[0], is_keyed=command_id in keyed)
    for key in image.keys:
        span = spans.get(key.command_id)
        if key.last_seq < key.first_seq:
            hold("whole", span is None, f"command {key.command_id} has events that its key denies")
        else:
            said = (key.answer_in, key.first_seq, key.last_seq)
            hold("whole", span == said, f"command {key.command_id}: key says {said}, events {span}")


def are_timers(image: Image) -> None:
    """What a timer fires has the timer's name for its key, and no other: so it is fired once."""
    for key in image.keys:
        if key.actor == "system:kernel" and ID.match(key.key):
            hold("timers", TIMER.fullmatch(key.key) is not None, f"{key.key} is no timer's name")


def _has_its_key(event: EventEnvelope, *, is_keyed: bool) -> None:
    if event.event_type == COMMAND_REJECTED:
        hold("whole", not is_keyed, f"{event.event_id} was rejected and used up its key")
    elif event.trace_id != FIRST_BOOT:
        hold("whole", is_keyed, f"event {event.event_id} has no key")


def _replayed(ledger: Ledger, event: EventEnvelope, workspace: Workspace) -> Event | None:
    data = workspace.stored[event.seq_global - 1]
    stored = StoredEvent(seq=event.seq_global, subject_id=event.subject.id, data=data)
    try:
        return ledger.replay(stored)[1]
    except ChainBroken as fault:
        raise Violation("replay", str(fault)) from fault


def _reactions(fact: Event | None, ledger: Ledger, event: EventEnvelope) -> list[Event]:
    if fact is None:
        return []
    context = Context(
        now=to_micros(event.timestamp),
        actor=event.actor,
        seed=0,
        new_id=lambda: an_id(0xFFFF),
        token_digest=lambda _: "",
        text_ref=TextRef(ref=ArtifactRef(content_hash(b"")), chars=0),
        observed=SEEN,
    )
    return [each for decider in REACTING[type(fact)] for each in decider.react(fact, ledger, context)]


def _command_of(event: EventEnvelope) -> str:
    command_id = event.causality.command_id if event.causality else None
    return command_id or event.event_id
