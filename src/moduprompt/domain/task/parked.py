"""What a parked session's tasks mean for it: it waits on while they are held, and for nothing when they are over.

A window opens once. Whoever was held then goes on when what held it is gone: the pause, or the task itself, which
somebody else has now.
"""

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.session.events import SessionUnparked
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.session.waits import waits_no_more
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import SessionId, to_micros


def is_held(session_id: SessionId, world: World) -> bool:
    """Whether all that a session works for is paused; what is over holds nobody."""
    unfinished = [own for own in world.related(TaskState, session_id) if own.is_open()]
    return bool(unfinished) and all(own.phase == "paused" for own in unfinished)


def go_on(own: TaskState, world: World, context: Context) -> list[Event]:
    """Its session waits no more where its window has opened while all its work was held."""
    session = world.find(SessionState, own.session_id) if own.session_id else None
    parked = session.parked if session is not None else None
    if session is None or parked is None or own.phase != "running":
        return []
    if to_micros(parked.due_at) > context.now:
        return []
    return [SessionUnparked(session_id=session.session_id, run_id=parked.run_id, why="due")]


def go_on_all(world: World, context: Context) -> list[Event]:
    """Every session whose window has opened and that nothing holds any more."""
    return [
        SessionUnparked(session_id=session.session_id, run_id=session.parked.run_id, why="due")
        for session in world.every(SessionState)
        if session.parked is not None
        and session.status == "open"
        and to_micros(session.parked.due_at) <= context.now
        and not is_held(session.session_id, world)
    ]


def wait_for_nothing(own: TaskState, world: World) -> list[Event]:
    """The task is over: where its session had nothing else to do, no program of it begins by itself any more."""
    session = world.find(SessionState, own.session_id) if own.session_id else None
    if session is None or any(each.is_open() for each in world.related(TaskState, session.session_id)):
        return []
    facts: list[Event] = []
    if session.parked is not None:
        run_id = session.parked.run_id
        facts.append(SessionUnparked(session_id=session.session_id, run_id=run_id, why="task_ended"))
    return [*facts, *waits_no_more(session)]
