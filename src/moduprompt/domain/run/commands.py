"""Orders about runs. What keepers and observers found comes in as internal reports."""

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

from moduprompt.domain.decider import Command
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import Digest, Mark, Said
from moduprompt.domain.session.limits import RunLimitsSpec
from moduprompt.protocol import Count, Id, Name, Reason, Ref, RunId, SessionId, Text, Whole

ObservedStatus: TypeAlias = Literal[
    "working",
    "waiting_input",
    "blocked_on_permission",
    "rate_limited",
    "idle",
    "exited",
    "lost",
    "unknown",
]
RunOutcome: TypeAlias = Literal["succeeded", "failed", "unclear"]
ExitHow: TypeAlias = Literal["exited", "signalled", "timed_out", "stopped", "not_started"]
Begun: TypeAlias = Literal["carried_on", "fresh"]
"""How a run began that was to carry a conversation on: with it, or without."""
TurnAbility: TypeAlias = Literal["interrupt", "steer"]
"""What can be done to a turn that runs: end it with its program left alive, give it further words."""
CaughtBy: TypeAlias = Literal["cgroup", "subreaper", "marker"]
LimitName: TypeAlias = Annotated[str, msgspec.Meta(max_length=40)]
Side: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
"""Rows or columns of a terminal."""


class StartRun(Command, frozen=True, kw_only=True):
    """Start the session's program once more.

    `resume`: it carries the session's conversation on where its program can, and is told its capsules where not.
    `prompt`: what this run alone is told, behind what its session was told; carrying on, in its place.
    """

    wire: ClassVar[str] = "run.start"
    kind: ClassVar[str] = "run"
    text_field: ClassVar[str | None] = "prompt"
    later: ClassVar[frozenset[str]] = frozenset({"resume", "prompt"})

    session_id: Id[SessionId]
    resume: bool = False
    prompt: Text | None = None


class RunOrder(Command, frozen=True, kw_only=True):
    """An order to one run."""

    kind: ClassVar[str] = "run"
    key: ClassVar[str | None] = "run_id"

    run_id: Id[RunId]


class RunReport(RunOrder, frozen=True, kw_only=True):
    """What was seen of a run. Kernel only."""

    internal: ClassVar[bool] = True


class StopRun(RunOrder, frozen=True, kw_only=True):
    """End it: SIGINT, SIGTERM, SIGKILL to all of it, each after its grace.

    Of one that has ended and would go on by itself, in another run, nothing goes on.
    """

    wire: ClassVar[str] = "run.stop"

    reason: Reason | None = None


class ResizeRun(RunOrder, frozen=True, kw_only=True):
    """Give its terminal another size."""

    wire: ClassVar[str] = "run.resize"

    rows: Side
    cols: Side


class ReportStarted(RunReport, frozen=True, kw_only=True):
    """Its keeper has started the program. `start_time` is in clock ticks since boot.

    `caught_by` says how all of its processes are found, `limits` what it may take, `limits_held` which of that
    holds on that machine. `can`: what can be done to its turns, as it was started.
    """

    wire: ClassVar[str] = "run.report_started"
    later: ClassVar[frozenset[str]] = frozenset({"limits", "can"})

    pid: Count
    start_time: Count
    caught_by: CaughtBy | None = None
    limits_held: tuple[LimitName, ...] = ()
    limits: RunLimitsSpec | None = None
    can: tuple[TurnAbility, ...] | None = None


class ReportConversation(RunReport, frozen=True, kw_only=True):
    """How a run begins that was to carry a conversation on; said before its program starts.

    `why` is for people; `capsules` is how many stand before its prompt instead.
    """

    wire: ClassVar[str] = "run.report_conversation"

    begun: Begun
    why: Reason
    conversation_id: Mark | None = None
    capsules: Count = 0


class ReportStatus(RunReport, frozen=True, kw_only=True):
    """What it was seen doing, by which rule, on what evidence."""

    wire: ClassVar[str] = "run.report_status"

    status: ObservedStatus
    rule: str
    rule_version: Count
    evidence: Reason


class Sighting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it does, by which rule, on what evidence."""

    status: ObservedStatus
    rule: Name
    rule_version: Count
    evidence: Reason


class ReportSaid(RunReport, frozen=True, kw_only=True):
    """What its program said of itself, in order, in the output up to byte `upto`. `seen`: what it does after that.

    `places` has the byte of each, rising; without them all of it was said at `upto`. `tree`: a digest of what stood in
    its worktree after the last call of a tool among these, where somebody has looked.
    """

    wire: ClassVar[str] = "run.report_said"
    later: ClassVar[frozenset[str]] = frozenset({"tree"})

    upto: Count
    said: tuple[Said, ...]
    places: tuple[Count, ...] = ()
    seen: Sighting | None = None
    tree: Digest | None = None


class ReportExited(RunReport, frozen=True, kw_only=True):
    """It has ended; `leftovers` are processes that could not be ended with it.

    `outcome`, by which rule, on what evidence: the verdict of its adapter, where the program tells what it does.
    """

    wire: ClassVar[str] = "run.report_exited"
    later: ClassVar[frozenset[str]] = frozenset({"outcome", "rule", "evidence"})

    how: ExitHow
    code: Whole | None = None
    signal: Whole | None = None
    failure: FailureClass | None = None
    reason: Reason | None = None
    output_bytes: Count = 0
    leftovers: Count = 0
    recording: Ref | None = None
    outcome: RunOutcome | None = None
    rule: Name | None = None
    evidence: Reason | None = None


class ReportLost(RunReport, frozen=True, kw_only=True):
    """No keeper, no process, no result: nobody can say how it ended."""

    wire: ClassVar[str] = "run.report_lost"

    evidence: Reason


RunCommand: TypeAlias = (
    StartRun
    | StopRun
    | ResizeRun
    | ReportConversation
    | ReportStarted
    | ReportStatus
    | ReportSaid
    | ReportExited
    | ReportLost
)
