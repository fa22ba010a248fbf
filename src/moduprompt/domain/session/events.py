"""Facts about sessions."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Event
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.session.commands import (
    Agent,
    Amount,
    BudgetBound,
    ForkMode,
    HeldBy,
    Patience,
    Place,
    Unparked,
)
from moduprompt.domain.session.limits import RunLimits
from moduprompt.policy.rights import Right
from moduprompt.protocol import (
    Count,
    Id,
    InterruptId,
    Name,
    ProjectId,
    PromptId,
    Reason,
    RunId,
    SessionId,
    TaskId,
    TextRef,
    UserId,
    WorktreeId,
)


class SessionEvent(Event, frozen=True, kw_only=True):
    """A fact about one session."""

    kind: ClassVar[str] = "session"
    key: ClassVar[str] = "session_id"

    session_id: Id[SessionId]


class SessionBegun(SessionEvent, frozen=True, kw_only=True):
    """What a spawned and a forked session have in common. `path` leads from the root to it."""

    project_id: Id[ProjectId]
    name: Name
    agent: Agent
    may: tuple[Right, ...]
    root_session_id: Id[SessionId]
    path: tuple[SessionId, ...]
    place: Place
    branch: str | None = None
    base: str | None = None
    parent_session_id: Id[SessionId] | None = None
    prompt: TextRef | None = None
    task_id: Id[TaskId] | None = None
    limits: RunLimits | None = None


class SessionSpawned(SessionBegun, frozen=True, kw_only=True):
    """It exists, with a fresh mind."""

    wire: ClassVar[str] = "session.spawned"


class SessionForked(SessionBegun, frozen=True, kw_only=True):
    """It exists, as an alternative to another one; `dirty` with what is not committed there."""

    wire: ClassVar[str] = "session.forked"

    fork_of: Id[SessionId]
    mode: ForkMode
    dirty: bool = False


class SessionWorktreeAttached(SessionEvent, frozen=True, kw_only=True):
    """It works in this worktree; `branch` where that is not its own."""

    wire: ClassVar[str] = "session.worktree_attached"

    worktree_id: Id[WorktreeId]
    branch: str | None = None


class SessionWorktreeDetached(SessionEvent, frozen=True, kw_only=True):
    """It works there no more."""

    wire: ClassVar[str] = "session.worktree_detached"

    worktree_id: Id[WorktreeId]


class PromptEvent(SessionEvent, frozen=True, kw_only=True):
    """A step of one prompt on its way."""

    prompt_id: Id[PromptId]


class PromptAccepted(PromptEvent, frozen=True, kw_only=True):
    """The kernel has it, and will deliver it in order. `resend_of`: a person says again what was uncertain.

    `steer`: it is for the turn that runs, and goes before those that wait for the turn's end.
    """

    wire: ClassVar[str] = "session.prompt_accepted"

    prompt: TextRef
    resend_of: Id[PromptId] | None = None
    steer: bool = False


class PromptCancelled(PromptEvent, frozen=True, kw_only=True):
    """It was taken back before its turn came; no key of it was typed."""

    wire: ClassVar[str] = "session.prompt_cancelled"

    reason: Reason | None = None


class PromptHeld(PromptEvent, frozen=True, kw_only=True):
    """Its turn has come, and it waits: for a person's draft, for an answered question, for a screen that
    takes text. Said when the reason changes, not for as long as it lasts."""

    wire: ClassVar[str] = "session.prompt_held"

    by: HeldBy
    evidence: Reason
    user_id: Id[UserId] | None = None


class PromptPlaced(PromptEvent, frozen=True, kw_only=True):
    """Its turn has come: from here on keys may have been typed. `turn`: the one that it is to steer."""

    wire: ClassVar[str] = "session.prompt_placed"

    turn: Count | None = None


class PromptSubmitted(PromptEvent, frozen=True, kw_only=True):
    """The keeper has typed it and confirmed, exactly once.

    `output_bytes`: how much the run had printed by then; older events don't say, nor which run it was.
    """

    wire: ClassVar[str] = "session.prompt_submitted"

    run_id: Id[RunId] | None = None
    output_bytes: Count | None = None


class TurnObserved(PromptEvent, frozen=True, kw_only=True):
    """The program has it: seen by this rule, on this evidence. `steered_into`: it was taken up in this turn, which ran already."""

    wire: ClassVar[str] = "session.turn_observed"

    rule: str
    rule_version: Count
    evidence: Reason
    steered_into: Count | None = None


class PromptUncertain(PromptEvent, frozen=True, kw_only=True):
    """Nobody can say whether it was typed. It is never typed again by itself."""

    wire: ClassVar[str] = "session.prompt_uncertain"

    evidence: Reason


class InterruptEvent(SessionEvent, frozen=True, kw_only=True):
    """A step of one interrupt on its way."""

    interrupt_id: Id[InterruptId]


class InterruptRequested(InterruptEvent, frozen=True, kw_only=True):
    """The turn that this run is in shall end; run and session stay. `turn`: its number, where its program tells turns."""

    wire: ClassVar[str] = "session.interrupt_requested"

    run_id: Id[RunId]
    turn: Count | None = None
    reason: Reason | None = None


class InterruptPlaced(InterruptEvent, frozen=True, kw_only=True):
    """From here on it may have been sent."""

    wire: ClassVar[str] = "session.interrupt_placed"


class InterruptSent(InterruptEvent, frozen=True, kw_only=True):
    """The program was given it, once. Until `due_at` the end of its turn is waited for."""

    wire: ClassVar[str] = "session.interrupt_sent"

    due_at: str


class SessionInterrupted(InterruptEvent, frozen=True, kw_only=True):
    """Its turn is over, and the interrupt ended it: seen by this rule, on this evidence."""

    wire: ClassVar[str] = "session.interrupted"

    rule: str
    evidence: Reason


class InterruptNotTaken(InterruptEvent, frozen=True, kw_only=True):
    """It was not needed any more, or could not be sent: its turn ended, or goes on, without it."""

    wire: ClassVar[str] = "session.interrupt_not_taken"

    evidence: Reason


class InterruptUncertain(InterruptEvent, frozen=True, kw_only=True):
    """Nobody can say whether it was sent, or what came of it. It is never sent again by itself."""

    wire: ClassVar[str] = "session.interrupt_uncertain"

    evidence: Reason


class SessionRenamed(SessionEvent, frozen=True, kw_only=True):
    """It has another name."""

    wire: ClassVar[str] = "session.renamed"

    name: Name


class SessionBudgetSet(SessionEvent, frozen=True, kw_only=True):
    """It, and all that is charged to it, may use so much in all. `begins`: from here on it is counted."""

    wire: ClassVar[str] = "session.budget_set"

    tokens: Amount | None = None
    cost_micros: Amount | None = None
    begins: bool = False


class SessionCharged(SessionEvent, frozen=True, kw_only=True):
    """So much of its budget was used, by this run; without one, before it was counted.

    `tokens`: those read, the cached ones too, and those written. `cost_micros`: of what has a known cost.
    """

    wire: ClassVar[str] = "session.charged"

    run_id: Id[RunId] | None = None
    tokens: Count = 0
    cost_micros: Count = 0
    is_cost_known: bool = True


class SessionBudgetExceeded(SessionEvent, frozen=True, kw_only=True):
    """This bound is reached or passed: what is charged to it stops, and nothing more begins until it is raised.

    `limit` and `spent`: tokens, or millionths of a US dollar.
    """

    wire: ClassVar[str] = "session.budget_exceeded"

    bound: BudgetBound
    limit: Count
    spent: Count


class SessionParked(SessionEvent, frozen=True, kw_only=True):
    """A limit of its program's service has ended this run: it goes on by itself at that time.

    `parks`: how often in a row; `due_at` was drawn once and stands.
    """

    wire: ClassVar[str] = "session.parked"

    run_id: Id[RunId]
    failure: FailureClass
    due_at: str
    parks: Count


class SessionUnparked(SessionEvent, frozen=True, kw_only=True):
    """It waits no more for the window for which it waited since this run."""

    wire: ClassVar[str] = "session.unparked"

    run_id: Id[RunId]
    why: Unparked


class SessionBranchAwaited(SessionEvent, frozen=True, kw_only=True):
    """Its next run begins by itself when nobody writes on its branch any more; `holder` does now.

    `turn`: who waits for a branch with a smaller one goes first; `resumes`: the run whose conversation it is to
    carry on, `continues`: the run whose work, so that it is told the same. Said again when somebody else holds the
    branch.
    """

    wire: ClassVar[str] = "session.branch_awaited"

    branch: str
    turn: Count
    holder: Id[SessionId] | None = None
    resumes: Id[RunId] | None = None
    continues: Id[RunId] | None = None


class SessionBranchGiven(SessionEvent, frozen=True, kw_only=True):
    """It waits for its branch no more: its run begins, or the wait has lost its ground."""

    wire: ClassVar[str] = "session.branch_given"


class SessionBudgetAwaited(SessionEvent, frozen=True, kw_only=True):
    """Its next run begins by itself when the budget of `payer`, which is used up, has room again.

    `resumes`, `continues`: as for a branch.
    """

    wire: ClassVar[str] = "session.budget_awaited"

    payer: Id[SessionId]
    resumes: Id[RunId] | None = None
    continues: Id[RunId] | None = None


class SessionBudgetGiven(SessionEvent, frozen=True, kw_only=True):
    """It waits for a budget no more: its run begins, or is not wanted any more."""

    wire: ClassVar[str] = "session.budget_given"


class SessionPatienceSet(SessionEvent, frozen=True, kw_only=True):
    """Its runs are stopped when they get nowhere, or are not."""

    wire: ClassVar[str] = "session.patience_set"

    patience: Patience


class SessionClosed(SessionEvent, frozen=True, kw_only=True):
    """The line of work has ended."""

    wire: ClassVar[str] = "session.closed"

    reason: Reason | None = None


class SessionHomeErased(SessionEvent, frozen=True, kw_only=True):
    """What its programs kept for it, configuration and conversations, is gone."""

    wire: ClassVar[str] = "session.home_erased"


PromptFact: TypeAlias = (
    PromptAccepted
    | PromptCancelled
    | PromptHeld
    | PromptPlaced
    | PromptSubmitted
    | PromptUncertain
    | TurnObserved
)

InterruptFact: TypeAlias = (
    InterruptRequested
    | InterruptPlaced
    | InterruptSent
    | SessionInterrupted
    | InterruptNotTaken
    | InterruptUncertain
)

SessionFact: TypeAlias = (
    SessionSpawned
    | SessionForked
    | SessionWorktreeAttached
    | SessionWorktreeDetached
    | PromptFact
    | InterruptFact
    | SessionRenamed
    | SessionBudgetSet
    | SessionCharged
    | SessionBudgetExceeded
    | SessionParked
    | SessionUnparked
    | SessionBranchAwaited
    | SessionBranchGiven
    | SessionBudgetAwaited
    | SessionBudgetGiven
    | SessionPatienceSet
    | SessionClosed
    | SessionHomeErased
)
