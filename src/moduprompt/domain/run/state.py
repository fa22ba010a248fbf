"""A run's state.

    (none) ── requested ──→ requested ── started ──→ started ── exited ──→ exited
                                │                       └─── lost ────→ lost
                                ├─ exited ──→ exited
                                └─ lost ────→ lost

What it was last seen doing is kept beside, with its rule; it decides nothing here but
whether a prompt may be typed. So is what its program told of itself, in sum, and how much of
its output that is from: `said_upto`.
"""

from typing import ClassVar, Final, Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from moduprompt.domain.decider import State
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import Begun, ObservedStatus, TurnAbility
from moduprompt.domain.run.events import (
    RunConversationChosen,
    RunConversationNamed,
    RunExited,
    RunFact,
    RunLineSkipped,
    RunLost,
    RunNoProgressObserved,
    RunOutputRecorded,
    RunPermissionAsked,
    RunPermissionWithdrawn,
    RunPromptAwaited,
    RunRequested,
    RunResized,
    RunStarted,
    RunStatusObserved,
    RunStopRequested,
    RunTold,
    RunToolCalled,
    RunToolEnded,
    RunTroubleObserved,
    RunTurnBegan,
    RunTurnEnded,
    RunUsageReported,
    ToldFact,
)
from moduprompt.domain.run.progress import Progress, called, ended, interrupted, troubled, turned
from moduprompt.domain.run.said import SAID_MAX
from moduprompt.domain.run.usage import Usage, summed
from moduprompt.domain.session.commands import Agent
from moduprompt.protocol import ProjectId, RunId, SessionId, TextRef, WorktreeId

RunStatus: TypeAlias = Literal["requested", "started", "exited", "lost"]
LIVE: Final[frozenset[str]] = frozenset({"requested", "started"})  # it may have a process
ENDED: Final[frozenset[str]] = frozenset({"exited", "lost"})


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What was last in the way of its program, in this turn or since the last one."""

    failure: FailureClass
    retry_after_s: int | None = None
    is_final: bool = False


class RunState(State, frozen=True, kw_only=True):
    """What decisions need of a run.

    `conversation_id` is what its program calls its conversation, as far as that is known; `begun` says how a
    run began that was to carry one on; `turn_at` where in its output the last turn is told of first.
    """

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
    can: tuple[TurnAbility, ...] | None = None  # None: nobody said so when it started
    observed: ObservedStatus = "unknown"
    stop_requested: bool = False
    stop_failure: FailureClass | None = None
    prompt: TextRef | None = None
    told_in: RunId | None = None
    resumes: RunId | None = None
    begun: Begun | None = None
    said_upto: int = 0
    conversation_id: str | None = None
    turns: int = 0
    turn_at: int = 0
    is_in_turn: bool = False
    usage: Usage = Usage()
    trouble: Trouble | None = None
    turn_failure: FailureClass | None = None
    withdrawn: tuple[str, ...] = ()  # questions that it took back: as many as one report may hold
    progress: Progress = Progress()

    def is_stopped_by_somebody(self) -> bool:
        """Whether it ends because somebody wants it to, and not for a reason of the kernel's."""
        return self.stop_requested and self.stop_failure is None

    def is_live(self) -> bool:
        """Whether it may have a process."""
        return self.status in LIVE


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
            prompt=event.prompt,
            told_in=event.told_in,
            resumes=event.resumes,
        )
    assert own is not None, "BUG: a run's first event is run.requested"
    if isinstance(event, RunTold):
        return _told(replace(own, said_upto=event.upto), event)
    match event:
        case RunConversationChosen():
            return replace(own, begun=event.begun, conversation_id=event.conversation_id)
        case RunStarted():
            return replace(own, status="started", pid=event.pid, start_time=event.start_time, can=event.can)
        case RunStatusObserved():
            return replace(own, observed=event.status)
        case RunResized():
            return replace(own, rows=event.rows, cols=event.cols)
        case RunStopRequested():
            return replace(own, stop_requested=True, stop_failure=event.failure)
        case RunOutputRecorded() | RunNoProgressObserved():
            return own
        case RunExited():
            return replace(own, status="exited", observed="exited", is_in_turn=False)
        case RunLost():
            return replace(own, status="lost", observed="lost", is_in_turn=False)
        case _:
            assert_never(event)


def _told(own: RunState, event: ToldFact) -> RunState:
    match event:
        case RunConversationNamed():
            return replace(own, conversation_id=event.conversation_id)
        case RunTurnBegan():
            return replace(
                own,
                turns=event.turn,
                turn_at=event.upto,
                is_in_turn=True,
                trouble=None,
                turn_failure=None,
            )
        case RunTurnEnded():
            # Some programs end a turn of which they never said that it began.
            over = replace(own, is_in_turn=False, turn_at=own.turn_at if own.is_in_turn else event.upto)
            return _turned(over, event)
        case RunUsageReported():
            return replace(own, usage=summed(own.usage, event))
        case RunTroubleObserved():
            return replace(own, trouble=_troubled(own.trouble, event), progress=troubled(own.progress, event))
        case RunPermissionAsked():
            return replace(own, withdrawn=tuple(each for each in own.withdrawn if each != event.request_id))
        case RunPermissionWithdrawn():
            return replace(own, withdrawn=(*own.withdrawn, event.request_id)[-SAID_MAX:])
        case RunToolCalled():
            return replace(own, progress=called(own.progress, event))
        case RunToolEnded():
            return replace(own, progress=ended(own.progress, event))
        case RunLineSkipped() | RunPromptAwaited():
            return own
        case _:
            assert_never(event)


def _turned(own: RunState, event: RunTurnEnded) -> RunState:
    match event.how:
        case "done":
            return replace(own, trouble=None, progress=turned(own.progress))
        case "interrupted":
            return replace(own, turn_failure=event.failure, progress=interrupted(own.progress))
        case "failed":
            return replace(own, turn_failure=event.failure)
        case _:
            assert_never(event.how)


def _troubled(before: Trouble | None, event: RunTroubleObserved) -> Trouble:
    # Programs say when they try again, and not once more when they give up.
    is_same = before is not None and before.failure is event.failure
    said_before = before.retry_after_s if before is not None and is_same else None
    return Trouble(
        failure=event.failure,
        retry_after_s=said_before if event.retry_after_s is None else event.retry_after_s,
        is_final=event.is_final,
    )
