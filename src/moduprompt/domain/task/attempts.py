"""An attempt's beginning and end, and whether it waits for a person or for a service meanwhile.

A task waits for a person when the live run of its session does: whoever is assigned,
started or resumed takes that over, and nobody waits for a run that has ended. It is parked
while its session is: that is the same attempt, which goes on when the window opens.
"""

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ObservedStatus
from moduprompt.domain.run.decide import live_run
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.events import (
    AttemptFailed,
    RetryScheduled,
    TaskBlocked,
    TaskFailed,
    TaskStarted,
    TaskUnblocked,
)
from moduprompt.domain.task.proposals import enter
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import Micros, SessionId, to_timestamp

_WAITING: frozenset[ObservedStatus] = frozenset({"waiting_input", "blocked_on_permission"})


def begin_attempt(own: TaskState, world: World, context: Context) -> list[Event]:
    """The next attempt, in the stage where the last one stood; the first asks to enter the first stage."""
    facts: list[Event] = [TaskStarted(task_id=own.task_id, attempt=own.attempt + 1)]
    if own.stage is None:
        facts.extend(enter(own, own.stages[0].name, world=world, context=context))
    waits = awaits_person(own.session_id, world)
    return [*facts, *input_facts(own, waits=waits), *park_facts(own, parked_until(own.session_id, world))]


def failed_attempt(own: TaskState, failure: FailureClass, *, reason: str, context: Context) -> list[Event]:
    """The end of an attempt: another one where the rule allows, else the end of the task."""
    if not own.is_under_way():
        return []
    facts: list[Event] = [
        AttemptFailed(task_id=own.task_id, attempt=own.attempt, failure=failure, reason=reason)
    ]
    if not own.retry.allows(failure, attempt=own.attempt):
        return [*facts, TaskFailed(task_id=own.task_id, failure=failure, reason=reason)]
    delay = own.retry.delay_us(attempt=own.attempt, seed=context.seed)
    due_at = to_timestamp(Micros(context.now + delay))
    return [*facts, RetryScheduled(task_id=own.task_id, attempt=own.attempt + 1, due_at=due_at)]


def awaits_person(session_id: SessionId | None, world: World) -> bool:
    """Whether the session's program was last seen waiting for somebody."""
    live = live_run(session_id, world) if session_id else None
    return live is not None and is_waiting(live.observed)


def is_waiting(observed: ObservedStatus) -> bool:
    """Whether a program seen so goes on only when a person does something."""
    return observed in _WAITING


def input_facts(own: TaskState, *, waits: bool) -> list[Event]:
    """What changes for the task when its program waits, or does so no more."""
    if waits == ("user_input" in own.blocks):
        return []
    if waits:
        return [TaskBlocked(task_id=own.task_id, by="user_input")]
    return [TaskUnblocked(task_id=own.task_id, by="user_input")]


def parked_until(session_id: SessionId | None, world: World) -> str | None:
    """When the window opens for which a session waits; None where it waits for none."""
    session = world.find(SessionState, session_id) if session_id else None
    return session.parked.due_at if session is not None and session.parked is not None else None


def park_facts(own: TaskState, until: str | None) -> list[Event]:
    """What changes for the task when its session is parked, or is so no more."""
    if (until is not None) == ("rate_limit" in own.blocks):
        return []
    if until is not None:
        return [TaskBlocked(task_id=own.task_id, by="rate_limit", until=until)]
    return [TaskUnblocked(task_id=own.task_id, by="rate_limit")]
