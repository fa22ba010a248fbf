"""When the window opens for which a session waits: it goes on by itself, unless its work is held.

Who pauses a task means its agent, too. So a session whose open tasks are all paused stays parked when its time
comes, and whoever resumes one of them starts it (`domain/task/parked.py`). A session without a task is nobody's
but its own, and goes on.
"""

from moduprompt.domain import turns
from moduprompt.domain.decider import Context, Decision, World
from moduprompt.domain.session.commands import FireUnpark, PlaceCommand, SessionCommand, TurnCommand
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.parked import is_held


def decide(
    command: SessionCommand | PlaceCommand | TurnCommand,
    own: SessionState | None,
    world: World,
    context: Context,
) -> Decision:
    """Facts, or why not: of every order about a session."""
    if isinstance(command, FireUnpark) and is_held(command.session_id, world):
        return []
    return turns.decide(command, own, world, context)
