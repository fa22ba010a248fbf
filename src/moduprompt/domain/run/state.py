"""A run's state.

    (none) ── requested ──→ requested ── started ──→ started ── exited ──→ exited
                                │                       └─── lost ────→ lost
                                ├─ exited ──→ exited
                                └─ lost ────→ lost

What it was last seen doing is kept beside, with its rule; it decides nothing here but
whether a prompt may be typed.
"""

from typing import ClassVar, Literal, TypeAlias, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import State
from moduprompt.domain.run.commands import ObservedStatus
from moduprompt.domain.run.events import (
    RunExited,
    RunFact,
    RunLost,
    RunOutputRecorded,
    RunRequested,
    RunResized,
    RunStarted,
    RunStatusObserved,
    RunStopRequested,
)
from moduprompt.domain.session.commands import Agent
from moduprompt.protocol import ProjectId, RunId, SessionId, WorktreeId

RunStatus: TypeAlias = Literal["requested", "started", "exited", "lost"]


class RunState(State, frozen=True, kw_only=True):
    """What decisions need of a run."""

    index_by: ClassVar[str | None] = "session_id"

    run_id: RunId
    session_id: SessionId
    project_id: ProjectId
    worktree_id: WorktreeId | None
    agent: Agent
    ordinal: int
    token_sha256: str
    rows: int
    cols: int
    status: RunStatus = "requested"
    pid: int = 0
    start_time: int = 0
    observed: ObservedStatus = "unknown"
    stop_requested: bool = False

    def is_live(self) -> bool:
        """Whether it may have a process."""
        return self.status in ("requested", "started")


def evolve(own: RunState | None, event: RunFact) -> RunState:
    """The state after a fact."""
    if isinstance(event, RunRequested):
        return RunState(
            run_id=event.run_id,
            session_id=event.session_id,
            project_id=event.project_id,
            worktree_id=event.worktree_id,
            agent=event.agent,
            ordinal=event.ordinal,
            token_sha256=event.token_sha256,
            rows=event.rows,
            cols=event.cols,
        )
    assert own is not None, "BUG: a run's first event is run.requested"
    match event:
        case RunStarted():
            return replace(own, status="started", pid=event.pid, start_time=event.start_time)
        case RunStatusObserved():
            return replace(own, observed=event.status)
        case RunResized():
            return replace(own, rows=event.rows, cols=event.cols)
        case RunStopRequested():
            return replace(own, stop_requested=True)
        case RunOutputRecorded():
            return own
        case RunExited():
            return replace(own, status="exited", observed="exited")
        case RunLost():
            return replace(own, status="lost", observed="lost")
        case _:
            assert_never(event)
