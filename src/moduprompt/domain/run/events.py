"""Facts about runs."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Event
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import CaughtBy, ExitHow, LimitName, ObservedStatus, RunOutcome, Side
from moduprompt.domain.session.commands import Agent
from moduprompt.protocol import Count, Id, Name, ProjectId, Reason, Ref, RunId, SessionId, Whole, WorktreeId


class RunEvent(Event, frozen=True, kw_only=True):
    """A fact about one run."""

    kind: ClassVar[str] = "run"
    key: ClassVar[str] = "run_id"

    run_id: Id[RunId]


class RunRequested(RunEvent, frozen=True, kw_only=True):
    """It shall start. Of its token the log keeps the SHA-256, in hex."""

    wire: ClassVar[str] = "run.requested"

    session_id: Id[SessionId]
    project_id: Id[ProjectId]
    worktree_id: Id[WorktreeId] | None = None
    agent: Agent
    ordinal: Count
    token_sha256: str
    rows: Side
    cols: Side


class RunStarted(RunEvent, frozen=True, kw_only=True):
    """The program runs. A pid and its start time name a process; a pid alone does not.

    Events of before this was known say nothing about what catches the run and which limits hold.
    """

    wire: ClassVar[str] = "run.started"

    pid: Count
    start_time: Count
    caught_by: CaughtBy | None = None
    limits_held: tuple[LimitName, ...] = ()


class RunStatusObserved(RunEvent, frozen=True, kw_only=True):
    """It was seen doing this, by this rule: an observation, not a verdict."""

    wire: ClassVar[str] = "run.status_observed"

    status: ObservedStatus
    rule: str
    rule_version: Count
    evidence: Reason


class RunResized(RunEvent, frozen=True, kw_only=True):
    """Its terminal shall have this size."""

    wire: ClassVar[str] = "run.resized"

    rows: Side
    cols: Side


class RunStopRequested(RunEvent, frozen=True, kw_only=True):
    """It shall end."""

    wire: ClassVar[str] = "run.stop_requested"

    reason: Reason | None = None


class RunOutputRecorded(RunEvent, frozen=True, kw_only=True):
    """Everything its terminal printed is kept under this reference."""

    wire: ClassVar[str] = "run.output_recorded"

    output_bytes: Count
    recording: Ref


class RunExited(RunEvent, frozen=True, kw_only=True):
    """It has ended, and how. `outcome`: whether it did its job, by this rule, on this evidence.

    Without an outcome its program tells nothing, or nobody could judge yet when it ended.
    """

    wire: ClassVar[str] = "run.exited"

    how: ExitHow
    code: Whole | None = None
    signal: Whole | None = None
    failure: FailureClass | None = None
    reason: Reason | None = None
    output_bytes: Count = 0
    leftovers: Count = 0
    outcome: RunOutcome | None = None
    rule: Name | None = None
    evidence: Reason | None = None


class RunLost(RunEvent, frozen=True, kw_only=True):
    """It is gone, and nobody can say how."""

    wire: ClassVar[str] = "run.lost"

    evidence: Reason


RunFact: TypeAlias = (
    RunRequested
    | RunStarted
    | RunStatusObserved
    | RunResized
    | RunStopRequested
    | RunOutputRecorded
    | RunExited
    | RunLost
)
