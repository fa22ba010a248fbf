"""What must hold of snapshots: each says what the log says up to there, and forgets nobody who waits.

Judged by the log alone: it is folded from zero to the sequence of each note.
"""

from typing import Final

from moduprompt.domain.decider import Timer
from moduprompt.kernel.cabinet import new_ledger
from moduprompt.kernel.judgement import Wanted, all_wanted
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.snapshots import KINDS, Unfit, restore
from moduprompt.protocol import SECOND
from moduprompt.storage.port import Note, StorageFailed, StoredEvent
from tests.support.simulation.image import Image, Violation, Workspace, hold
from tests.support.simulation.machine import Machine

LATE: Final = 60 * SECOND  # after which a timer that nothing hinders has fired
TRIES: Final = 300  # looks, before what has not fired never will
A_MOMENT_S: Final = 1.0  # of made-up time


async def snapshots_equal_replay(machine: Machine, image: Image) -> None:
    """Each snapshot is a fold from zero to its sequence, and has every timer and all work of it."""
    try:
        notes = await machine.snapshots.notes()
    except StorageFailed as fault:
        raise Violation("snapshot", str(fault)) from fault
    fired = {key.key for key in image.keys if key.actor == "system:kernel"}
    for note in notes:
        workspace = image.workspaces.get(note.workspace_id)
        if workspace is None or note.seq > workspace.seq or not _is_of(note, workspace):
            continue  # of a log that lost its end: the kernel must not believe it, and replay tells
        whole = _folded(workspace, note.seq)
        await _is_the_same(machine, note, whole)
        _forgets_nobody(note, all_wanted(whole), fired=fired)


async def timers_have_fired(machine: Machine, image: Image) -> None:
    """Whatever was due a while ago has been sent, loaded or not."""
    now = machine.world.clock.now()
    late = [
        timer
        for workspace in image.workspaces.values()
        for wanted in all_wanted(_folded(workspace, workspace.seq))
        for timer in wanted.timers
        if timer.due_at + LATE < now
    ]
    for timer in late:
        await _fires(machine, timer)


async def _fires(machine: Machine, timer: Timer) -> None:
    home = timer.command.workspace_id
    for _ in range(TRIES):
        if await machine.log.find_key(home, actor="system:kernel", key=timer.name) is not None:
            return
        if timer.name not in _timers_now(machine, timer):
            return
        await machine.world.clock.pass_by(A_MOMENT_S)
    raise Violation("due", f"the timer {timer.name} has been due for long and never fires")


def _timers_now(machine: Machine, timer: Timer) -> set[str]:
    """What the workspace's state wants by now, where it is in memory; else what it wanted."""
    ledger = machine.kernel.cabinet.get(timer.command.workspace_id)
    wanted = all_wanted(ledger) if ledger is not None else ()
    return {each.name for one in wanted for each in one.timers} if ledger is not None else {timer.name}


async def _is_the_same(machine: Machine, note: Note, whole: Ledger) -> None:
    found = new_ledger(note.workspace_id)
    try:
        await restore(found, note, store=machine.snapshots)
    except Unfit:
        return  # somebody spoilt it, or another one takes its place at this moment: it is used by nobody
    same = found.state_hash() == whole.state_hash() and list(found.aggregates()) == list(whole.aggregates())
    hold("snapshot", same, f"{note.workspace_id} at {note.seq}: another state than the log's")
    hold("snapshot", found.last_time == whole.last_time, f"{note.workspace_id}: another time")
    for id_, _ in whole.aggregates():
        for decider in KINDS.values():
            kept = found.related_ids(decider.state, id_) == whole.related_ids(decider.state, id_)
            hold("snapshot", kept, f"{note.workspace_id} at {note.seq}: another index of {id_}")


def _forgets_nobody(note: Note, wanted: tuple[Wanted, ...], *, fired: set[str]) -> None:
    has_work = any(one.intents for one in wanted)
    hold("due", note.has_work or not has_work, f"{note.workspace_id} at {note.seq} wants hands")
    waiting = [timer for one in wanted for timer in one.timers if timer.name not in fired]
    first = min((timer.due_at for timer in waiting), default=None)
    if first is not None:
        known = note.due_at is not None and note.due_at <= first
        hold("due", known, f"{note.workspace_id} at {note.seq}: a timer is due at {first}, not {note.due_at}")


def _is_of(note: Note, workspace: Workspace) -> bool:
    return note.head_hash == _folded(workspace, note.seq).head_hash


def _folded(workspace: Workspace, seq: int) -> Ledger:
    ledger = new_ledger(workspace.id)
    ledger.fold(
        [
            StoredEvent(seq=event.seq_global, subject_id=event.subject.id, data=data)
            for event, data in zip(workspace.events[:seq], workspace.stored[:seq], strict=True)
        ]
    )
    return ledger
