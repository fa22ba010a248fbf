"""What a session needs done outside: when it is over, what its programs kept for it goes."""

from typing import TypeAlias

from moduprompt.domain.decider import Intent, World
from moduprompt.domain.run.events import RunConversationChosen, RunExited, RunLost, RunStarted
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import SessionId

Waking: TypeAlias = RunConversationChosen | RunStarted | RunExited | RunLost


class EraseHome(Intent, frozen=True, kw_only=True):
    """Nothing is left of its programs' configuration and conversations."""

    session_id: SessionId


def woken_by(event: Waking, world: World) -> tuple[str, ...]:
    """A run moves: its own session may be through, and so may the one whose conversation it was to carry on."""
    run = world.find(RunState, event.run_id)
    source = world.find(RunState, run.resumes) if run and run.resumes else None
    return tuple(dict.fromkeys(each.session_id for each in (run, source) if each is not None))


def intents(own: SessionState, world: World) -> tuple[Intent, ...]:
    """Never while a run of it lives, nor while another session's run is about to take its conversation over."""
    if own.status != "closed" or own.is_home_erased:
        return ()
    runs = {run.run_id: run for run in world.related(RunState, own.session_id)}
    if not runs or any(run.is_live() for run in runs.values()):
        return ()
    if any(run.status == "requested" and run.resumes in runs for run in world.every(RunState)):
        return ()
    return (
        EraseHome(
            name=f"session/{own.session_id}/home/erase",
            workspace_id=world.workspace_id,
            session_id=own.session_id,
        ),
    )
