"""A session's state, and that of the prompts waiting in it.

session:  (none) ── spawned | forked ──→ open ── closed ──→ closed
prompt:   accepted ── placed ──→ placed ── submitted ──→ submitted ── turn observed ──→ (done)
           │  ↺ held               │
           │                       └── uncertain ──→ (done, unless a person says it again)
           └── cancelled ──→ (done)

A prompt whose keys may have been typed when the run ended is uncertain: it is never
typed again by itself. One that was never placed waits for the next run.

branch:   free ── branch_awaited ──→ awaited ── branch_given ──→ free
interrupt: none ── requested ──→ requested ── placed ──→ placed ── sent ──→ sent
            ↑            │ not taken            │ uncertain          │ interrupted, uncertain
            └────────────┴──────────────────────┴────────────────────┘

parked:   no ── parked ──→ yes ── unparked ──→ no
budget:   none ── set ──→ open ── exceeded ──→ exceeded ── set ──→ open
room:     there ── budget_awaited ──→ awaited ── budget_given ──→ there
"""

from typing import ClassVar, Literal, TypeAlias, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import State
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.session.commands import Agent, HeldBy, Patience, Place
from moduprompt.domain.session.events import (
    InterruptEvent,
    InterruptFact,
    InterruptNotTaken,
    InterruptPlaced,
    InterruptRequested,
    InterruptSent,
    InterruptUncertain,
    PromptAccepted,
    PromptCancelled,
    PromptEvent,
    PromptFact,
    PromptHeld,
    PromptPlaced,
    PromptSubmitted,
    PromptUncertain,
    SessionBranchAwaited,
    SessionBranchGiven,
    SessionBudgetAwaited,
    SessionBudgetExceeded,
    SessionBudgetGiven,
    SessionBudgetSet,
    SessionCharged,
    SessionClosed,
    SessionFact,
    SessionForked,
    SessionHomeErased,
    SessionInterrupted,
    SessionParked,
    SessionPatienceSet,
    SessionRenamed,
    SessionSpawned,
    SessionUnparked,
    SessionWorktreeAttached,
    SessionWorktreeDetached,
    TurnObserved,
)
from moduprompt.domain.session.limits import RunLimits
from moduprompt.policy.rights import Right
from moduprompt.protocol import (
    InterruptId,
    ProjectId,
    PromptId,
    RunId,
    SessionId,
    TaskId,
    TextRef,
    UserId,
    WorktreeId,
)

SessionStatus: TypeAlias = Literal["open", "closed"]

SPENT_MAX = 2**53 - 1  # what every reader of JSON holds exactly; a program that says more has lied
UNCERTAIN_MAX = 20  # that a person may say again; who waits longer writes anew


class Prompt(State, frozen=True, kw_only=True):
    """A prompt on its way into the terminal."""

    prompt_id: PromptId
    text: TextRef
    is_placed: bool = False
    held_by: HeldBy | None = None
    holder: UserId | None = None
    is_steering: bool = False
    turn: int | None = None  # that it is to steer, once it is placed


class SubmittedPrompt(State, frozen=True, kw_only=True):
    """The last prompt that was typed, until its turn is observed. `output_bytes`: printed by then; `turn`: that it is to steer."""

    prompt_id: PromptId
    run_id: RunId | None
    output_bytes: int | None
    turn: int | None = None


class Interrupt(State, frozen=True, kw_only=True):
    """One on its way to a run's program. `due_at`: until then the end of the turn is waited for, once it is sent.

    `turn`: the one that shall end, where its program tells turns.
    """

    interrupt_id: InterruptId
    run_id: RunId
    stage: Literal["requested", "placed", "sent"] = "requested"
    due_at: str | None = None
    turn: int | None = None


class Budget(State, frozen=True, kw_only=True):
    """What a session and all that is charged to it may use, and have used. `unpriced`: how often at an unknown cost."""

    tokens: int | None
    cost_micros: int | None
    spent_tokens: int = 0
    spent_cost_micros: int = 0
    unpriced: int = 0
    is_exceeded: bool = False


class Parked(State, frozen=True, kw_only=True):
    """What it waits for: a window of its service that opens at that time. `run_id`: the run that the limit ended."""

    run_id: RunId
    failure: FailureClass
    due_at: str


class Waiting(State, frozen=True, kw_only=True):
    """A place in the line for a branch, and the run whose conversation is to be carried on when its turn comes.

    `continues`: the run whose work goes on, so that the next one is told the same.
    """

    turn: int
    holder: SessionId | None
    resumes: RunId | None
    continues: RunId | None = None


class Unfunded(State, frozen=True, kw_only=True):
    """Whose used-up budget keeps its next run from beginning, and what that one is to carry on, as in a line."""

    payer: SessionId
    resumes: RunId | None = None
    continues: RunId | None = None


class SessionState(State, frozen=True, kw_only=True):
    """What decisions need of a session.

    `prompts` holds those still on their way, in order; `uncertain` the last that may be said again. `awaits`: the
    branch on which its next run begins when nobody writes there, `waiting` its place in that line; `unfunded`: the
    budget in which it needs room first. `parks`: how often in a row it was parked when it was so last, and
    `parked_last` by which run.
    """

    index_by: ClassVar[str | None] = "awaits"

    session_id: SessionId
    project_id: ProjectId
    name: str
    agent: Agent
    may: tuple[Right, ...]
    root_session_id: SessionId
    path: tuple[SessionId, ...]
    place: Place
    branch: str | None
    base: str | None
    parent_session_id: SessionId | None
    fork_of: SessionId | None
    prompt: TextRef | None
    task_id: TaskId | None
    limits: RunLimits | None = None
    worktree_id: WorktreeId | None = None
    prompts: tuple[Prompt, ...] = ()
    submitted: SubmittedPrompt | None = None
    uncertain: tuple[Prompt, ...] = ()
    interrupt: Interrupt | None = None
    budget: Budget | None = None
    parked: Parked | None = None
    parked_last: RunId | None = None
    parks: int = 0
    awaits: str | None = None
    waiting: Waiting | None = None
    unfunded: Unfunded | None = None
    patience: Patience = "bounded"
    status: SessionStatus = "open"
    is_home_erased: bool = False

    def is_above(self, other: "SessionState") -> bool:
        """Whether the other one descends from this one."""
        return self.session_id in other.path[:-1]


def evolve(own: SessionState | None, event: SessionFact) -> SessionState:
    """The state after a fact."""
    if isinstance(event, SessionSpawned | SessionForked):
        return _begun(event)
    assert own is not None, "BUG: a session's first event is session.spawned or session.forked"
    match event:
        case SessionWorktreeAttached():
            return replace(own, worktree_id=event.worktree_id, branch=event.branch or own.branch)
        case SessionWorktreeDetached():
            return replace(own, worktree_id=None)
        case PromptEvent():
            return _prompted(own, event)
        case InterruptEvent():
            return replace(own, interrupt=_interrupting(own.interrupt, event))
        case SessionRenamed():
            return replace(own, name=event.name)
        case SessionBudgetSet() | SessionCharged() | SessionBudgetExceeded():
            return replace(own, budget=budgeted(own.budget, event))
        case SessionParked():
            parked = Parked(run_id=event.run_id, failure=event.failure, due_at=event.due_at)
            return replace(own, parked=parked, parked_last=event.run_id, parks=event.parks)
        case SessionUnparked():
            return replace(own, parked=None)
        case SessionBranchAwaited():
            waiting = Waiting(
                turn=event.turn, holder=event.holder, resumes=event.resumes, continues=event.continues
            )
            return replace(own, awaits=event.branch, waiting=waiting)
        case SessionBranchGiven():
            return replace(own, awaits=None, waiting=None)
        case SessionBudgetAwaited():
            unfunded = Unfunded(payer=event.payer, resumes=event.resumes, continues=event.continues)
            return replace(own, unfunded=unfunded)
        case SessionBudgetGiven():
            return replace(own, unfunded=None)
        case SessionPatienceSet():
            return replace(own, patience=event.patience)
        case SessionHomeErased():
            return replace(own, is_home_erased=True)
        case SessionClosed():
            return replace(own, status="closed", awaits=None, waiting=None, unfunded=None)
        case _:
            assert_never(event)


def _begun(event: SessionSpawned | SessionForked) -> SessionState:
    return SessionState(
        session_id=event.session_id,
        project_id=event.project_id,
        name=event.name,
        agent=event.agent,
        may=event.may,
        root_session_id=event.root_session_id,
        path=event.path,
        place=event.place,
        branch=event.branch,
        base=event.base,
        parent_session_id=event.parent_session_id,
        fork_of=event.fork_of if isinstance(event, SessionForked) else None,
        prompt=event.prompt,
        task_id=event.task_id,
        limits=event.limits,
    )


def budgeted(
    own: Budget | None, event: SessionBudgetSet | SessionCharged | SessionBudgetExceeded
) -> Budget | None:
    """A budget after a fact about it; None where it has no bounds any more."""
    if isinstance(event, SessionBudgetSet):
        if event.tokens is None and event.cost_micros is None:
            return None
        before = own or Budget(tokens=None, cost_micros=None)
        return replace(before, tokens=event.tokens, cost_micros=event.cost_micros, is_exceeded=False)
    assert own is not None, "BUG: only a session with a budget is charged"
    if isinstance(event, SessionBudgetExceeded):
        return replace(own, is_exceeded=True)
    return replace(
        own,
        spent_tokens=min(own.spent_tokens + event.tokens, SPENT_MAX),
        spent_cost_micros=min(own.spent_cost_micros + event.cost_micros, SPENT_MAX),
        unpriced=own.unpriced + (not event.is_cost_known),
    )


def _interrupting(own: Interrupt | None, event: InterruptFact) -> Interrupt | None:
    match event:
        case InterruptRequested():
            return Interrupt(interrupt_id=event.interrupt_id, run_id=event.run_id, turn=event.turn)
        case InterruptPlaced():
            return None if own is None else replace(own, stage="placed")
        case InterruptSent():
            return None if own is None else replace(own, stage="sent", due_at=event.due_at)
        case SessionInterrupted() | InterruptNotTaken() | InterruptUncertain():
            return None
        case _:
            assert_never(event)


def _prompted(own: SessionState, event: PromptFact) -> SessionState:
    left = tuple(p for p in own.prompts if p.prompt_id != event.prompt_id)
    match event:
        case PromptAccepted():
            accepted = Prompt(prompt_id=event.prompt_id, text=event.prompt, is_steering=event.steer)
            doubtful = tuple(p for p in own.uncertain if p.prompt_id != event.resend_of)
            return replace(own, prompts=(*own.prompts, accepted), uncertain=doubtful)
        case PromptHeld():
            held = (
                replace(p, held_by=event.by, holder=event.user_id) if p.prompt_id == event.prompt_id else p
                for p in own.prompts
            )
            return replace(own, prompts=tuple(held))
        case PromptPlaced():
            placed = (
                replace(p, is_placed=True, turn=event.turn) if p.prompt_id == event.prompt_id else p
                for p in own.prompts
            )
            return replace(own, prompts=tuple(placed))
        case PromptSubmitted():
            submitted = SubmittedPrompt(
                prompt_id=event.prompt_id,
                run_id=event.run_id,
                output_bytes=event.output_bytes,
                turn=next((p.turn for p in own.prompts if p.prompt_id == event.prompt_id), None),
            )
            return replace(own, prompts=left, submitted=submitted)
        case PromptUncertain():
            doubtful = tuple(p for p in own.prompts if p.prompt_id == event.prompt_id)
            return replace(own, prompts=left, uncertain=(*own.uncertain, *doubtful)[-UNCERTAIN_MAX:])
        case PromptCancelled():
            return replace(own, prompts=left)
        case TurnObserved():
            is_last = own.submitted is not None and own.submitted.prompt_id == event.prompt_id
            return replace(own, submitted=None) if is_last else own
        case _:
            assert_never(event)
