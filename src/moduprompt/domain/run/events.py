"""Facts about runs."""

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

from moduprompt.domain.decider import Event
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import (
    Begun,
    CaughtBy,
    ExitHow,
    LimitName,
    ObservedStatus,
    RunOutcome,
    Side,
    TurnAbility,
)
from moduprompt.domain.run.said import MARK_MAX, Digest, Mark, OptionKind, ToolEnd, TouchedPath, TurnEnd
from moduprompt.domain.session.commands import Agent
from moduprompt.domain.session.limits import RunLimits
from moduprompt.protocol import (
    Count,
    Id,
    Name,
    ProjectId,
    Reason,
    Ref,
    RunId,
    SessionId,
    TextRef,
    Whole,
    WorktreeId,
)


class RunEvent(Event, frozen=True, kw_only=True):
    """A fact about one run."""

    kind: ClassVar[str] = "run"
    key: ClassVar[str] = "run_id"

    run_id: Id[RunId]


class RunRequested(RunEvent, frozen=True, kw_only=True):
    """It shall start. Of its token the log keeps the SHA-256, in hex.

    `resumes`: the run whose conversation it is to carry on. `prompt`: what this run is told, and `told_in` the run that
    was told it first, where this one goes on with its work.
    """

    wire: ClassVar[str] = "run.requested"

    session_id: Id[SessionId]
    project_id: Id[ProjectId]
    worktree_id: Id[WorktreeId] | None = None
    agent: Agent
    ordinal: Count
    token_sha256: str
    rows: Side
    cols: Side
    resumes: Id[RunId] | None = None
    prompt: TextRef | None = None
    told_in: Id[RunId] | None = None


class RunConversationChosen(RunEvent, frozen=True, kw_only=True):
    """It was to carry a conversation on, and begins with it, or fresh with so many capsules; and why."""

    wire: ClassVar[str] = "run.conversation_chosen"

    begun: Begun
    why: Reason
    conversation_id: Mark | None = None
    capsules: Count = 0


class RunStarted(RunEvent, frozen=True, kw_only=True):
    """The program runs. A pid and its start time name a process; a pid alone does not.

    `can`: what can be done to its turns. Events of before this was known say nothing about that, nor about what catches
    the run, its limits and which of them hold.
    """

    wire: ClassVar[str] = "run.started"

    pid: Count
    start_time: Count
    caught_by: CaughtBy | None = None
    limits_held: tuple[LimitName, ...] = ()
    limits: RunLimits | None = None
    can: tuple[TurnAbility, ...] | None = None


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
    """It shall end. With a failure it has failed so, however it ends: the kernel stopped it for a reason."""

    wire: ClassVar[str] = "run.stop_requested"

    reason: Reason | None = None
    failure: FailureClass | None = None


class RunTold(RunEvent, frozen=True, kw_only=True):
    """Something that the program said of itself. Everything in its output before byte `upto` is taken with it."""

    upto: Count


class RunConversationNamed(RunTold, frozen=True, kw_only=True):
    """Its program calls its conversation so."""

    wire: ClassVar[str] = "run.conversation_named"

    conversation_id: Mark


class RunPromptAwaited(RunTold, frozen=True, kw_only=True):
    """Its program is ready, was told nothing yet, and takes its first prompt."""

    wire: ClassVar[str] = "run.prompt_awaited"


class RunTurnBegan(RunTold, frozen=True, kw_only=True):
    """Its program works on something, for the how manieth time in this run."""

    wire: ClassVar[str] = "run.turn_began"

    turn: Count


class RunTurnEnded(RunTold, frozen=True, kw_only=True):
    """Its program is through with a turn, by its own word. Turn 0 has never said that it began."""

    wire: ClassVar[str] = "run.turn_ended"

    turn: Count
    how: TurnEnd
    failure: FailureClass | None = None


class RunToolCalled(RunTold, frozen=True, kw_only=True):
    """Its program uses a tool. Of the arguments the log holds a digest, and the files that they name."""

    wire: ClassVar[str] = "run.tool_called"

    call_id: Mark
    tool: Mark
    arguments_digest: Digest
    paths: tuple[TouchedPath, ...] = ()


class RunToolEnded(RunTold, frozen=True, kw_only=True):
    """A tool has ended; `refused`: nobody allowed it. `tree`: what stood in the worktree then, where somebody looked."""

    wire: ClassVar[str] = "run.tool_ended"

    call_id: Mark
    how: ToolEnd
    tree: Digest | None = None


class RunUsageReported(RunTold, frozen=True, kw_only=True):
    """What was used on top of what was reported before. Without a cost its program has no price for it."""

    wire: ClassVar[str] = "run.usage_reported"

    turn: Count
    input_tokens: Count = 0
    cached_tokens: Count = 0
    output_tokens: Count = 0
    cost_micros: Count | None = None


class RunTroubleObserved(RunTold, frozen=True, kw_only=True):
    """Something is in its program's way. Unless `is_final`, it tries again by itself."""

    wire: ClassVar[str] = "run.trouble_observed"

    failure: FailureClass
    retry_after_s: Count | None = None
    is_final: bool = False


class OfferedOption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer that the program takes, in its own short words."""

    id: Mark
    kind: OptionKind
    label: Annotated[str, msgspec.Meta(max_length=MARK_MAX)] = ""


class RunPermissionAsked(RunTold, frozen=True, kw_only=True):
    """Its program stands still until somebody answers. `detail`: what it wants to do, for who answers."""

    wire: ClassVar[str] = "run.permission_asked"

    request_id: Mark
    tool: Mark
    arguments_digest: Digest
    options: tuple[OfferedOption, ...]
    detail: TextRef | None = None


class RunPermissionWithdrawn(RunTold, frozen=True, kw_only=True):
    """Its program wants no answer to that any more."""

    wire: ClassVar[str] = "run.permission_withdrawn"

    request_id: Mark


class RunLineSkipped(RunTold, frozen=True, kw_only=True):
    """Its program printed a line that was too long to be understood; it is in the recording."""

    wire: ClassVar[str] = "run.line_skipped"

    bytes: Count


class RunNoProgressObserved(RunEvent, frozen=True, kw_only=True):
    """Its program gets nowhere. `what` repeats: a tool, with these arguments, or a kind of trouble; in a row.

    `same_tree`: calls made before led to a worktree that had stood so before; `tree` is how it stood at last.
    """

    wire: ClassVar[str] = "run.no_progress_observed"

    rule: Literal["same_call", "same_trouble", "same_tree"]
    what: Mark
    times: Count
    arguments_digest: Digest | None = None
    tree: Digest | None = None


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


ToldFact: TypeAlias = (
    RunConversationNamed
    | RunPromptAwaited
    | RunTurnBegan
    | RunTurnEnded
    | RunToolCalled
    | RunToolEnded
    | RunUsageReported
    | RunTroubleObserved
    | RunPermissionAsked
    | RunPermissionWithdrawn
    | RunLineSkipped
)
"""What its program said of itself, one fact each."""

RunFact: TypeAlias = (
    RunRequested
    | RunConversationChosen
    | RunStarted
    | RunStatusObserved
    | RunResized
    | RunStopRequested
    | RunNoProgressObserved
    | RunOutputRecorded
    | RunExited
    | RunLost
    | ToldFact
)
