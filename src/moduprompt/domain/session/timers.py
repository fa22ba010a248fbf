"""The due times that stand in a session's state: of the window for which it waits, of the end of an interrupted turn."""

from moduprompt.domain.decider import Timer
from moduprompt.domain.session.commands import FireInterruptDue, FireUnpark
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import WorkspaceId, to_micros


def timers(own: SessionState, workspace_id: WorkspaceId) -> tuple[Timer, ...]:
    """What must be fired, and when."""
    return (*_unpark(own, workspace_id), *_interrupt(own, workspace_id))


def _unpark(own: SessionState, workspace_id: WorkspaceId) -> tuple[Timer, ...]:
    """The run that was ended is the name: it is waited for it once."""
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


def _interrupt(own: SessionState, workspace_id: WorkspaceId) -> tuple[Timer, ...]:
    """Also of a closed session: what came of it is said in any case."""
    interrupt = own.interrupt
    if interrupt is None or interrupt.due_at is None:
        return ()
    return (
        Timer(
            name=f"{own.session_id}/interrupt/{interrupt.interrupt_id}",
            due_at=to_micros(interrupt.due_at),
            command=FireInterruptDue(
                workspace_id=workspace_id,
                session_id=own.session_id,
                interrupt_id=interrupt.interrupt_id,
            ),
        ),
    )
