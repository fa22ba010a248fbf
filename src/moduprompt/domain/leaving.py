"""What a session needs done outside: when it is over, what its programs kept for it goes."""

from typing import TypeAlias

from moduprompt.domain.decider import Intent, World
from moduprompt.domain.run.decide import has_run
from moduprompt.domain.run.events import RunConversationChosen, RunExited, RunLost, RunStarted
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.events import SessionClosed
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import SessionId

Waking: TypeAlias = RunConversationChosen | RunStarted | RunExited | RunLost | SessionClosed


class EraseHome(Intent, frozen=True, kw_only=True):
    """Nothing is left of its programs' configuration and conversations."""

    session_id: SessionId


def woken_by(event: Waking, world: World) -> tuple[str, ...]:
    """A run moves: its own session may be through, and so may the one whose conversation it was to carry on.

    So may the one from which a session was forked that has begun by now, or never will.
    """
    run = None if isinstance(event, SessionClosed) else world.find(RunState, event.run_id)
    source = world.find(RunState, run.resumes) if run and run.resumes else None
    own_id = event.session_id if isinstance(event, SessionClosed) else run.session_id if run else None
    own = world.find(SessionState, own_id) if own_id else None
    found = (own_id, source.session_id if source else None, own.fork_of if own else None)
    return tuple(dict.fromkeys(each for each in found if each is not None))


def intents(own: SessionState, world: World) -> tuple[Intent, ...]:
    """Never while a run of it lives, nor while another session is about to take its conversation over."""
    if own.status != "closed" or own.is_home_erased:
        return ()
    runs = {run.run_id: run for run in world.related(RunState, own.session_id)}
    if not runs or any(run.is_live() for run in runs.values()):
        return ()
    if any(run.status == "requested" and run.resumes in runs for run in world.every(RunState)):
        return ()
    if any(_is_to_begin(fork, world) for fork in world.every(SessionState) if fork.fork_of == own.session_id):
        return ()
    return (
        EraseHome(
            name=f"session/{own.session_id}/home/erase",
            workspace_id=world.workspace_id,
            session_id=own.session_id,
        ),
    )


def _is_to_begin(fork: SessionState, world: World) -> bool:
    return fork.status == "open" and not has_run(fork.session_id, world)
