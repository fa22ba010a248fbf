"""The due time that stands in a session's state: when the window opens for which it waits."""

from moduprompt.domain.decider import Timer
from moduprompt.domain.session.commands import FireUnpark
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import WorkspaceId, to_micros


def timers(own: SessionState, workspace_id: WorkspaceId) -> tuple[Timer, ...]:
    """What must be fired, and when. The run that was ended is the name: it is waited for it once."""
    parked = own.parked
    if parked is None or own.status == "closed":
        return ()
    return (
        Timer(
            name=f"{own.session_id}/unpark/{parked.run_id}",
            due_at=to_micros(parked.due_at),
            command=FireUnpark(workspace_id=workspace_id, session_id=own.session_id, run_id=parked.run_id),
        ),
    )
