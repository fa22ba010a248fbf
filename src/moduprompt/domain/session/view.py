"""What people see of a session."""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View, revised
from moduprompt.domain.session.events import (
    InterruptFact,
    InterruptNotTaken,
    InterruptPlaced,
    InterruptRequested,
    InterruptSent,
    InterruptUncertain,
    PromptAccepted,
    PromptCancelled,
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
    SessionEvent,
    SessionForked,
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
from moduprompt.domain.session.state import Budget, Parked, budgeted


class PromptItem(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt and how far it came.

    `held_by` is why one whose turn it is waits; `holder` is the person whose draft it waits for; `rule` says
    how its turn was seen, `evidence` what that, its waiting or its uncertainty rests on. `steer`: it is for a turn that
    runs; `steered_into`: the turn that ran when it was taken up.
    """

    prompt_id: str
    ref: str
    state: str
    held_by: str | None = None
    holder: str | None = None
    rule: str | None = None
    evidence: str | None = None
    resend_of: str | None = None
    steer: bool = False
    steered_into: int | None = None


class InterruptItem(msgspec.Struct, frozen=True, kw_only=True):
    """An interrupt of a run's turn and how far it came; `rule` says how the turn's end was seen, `evidence` on what."""

    interrupt_id: str
    run_id: str
    state: str
    turn: int | None = None
    rule: str | None = None
    evidence: str | None = None


class SessionItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/sessions`. `budget`: what it and all that is charged to it may use, and have used; `parked`: a limit has
    ended its last run, and it goes on by itself then; `awaits`: the branch on which it goes on by itself when
    `branch_holder` writes there no more; `awaits_budget_of`: whose budget must have room first; `interrupt`: the last one there was."""

    project_id: str
    name: str
    status: str
    adapter: str
    argv: tuple[str, ...]
    may: tuple[str, ...]
    root_session_id: str
    path: tuple[str, ...]
    parent_session_id: str | None = None
    fork_of: str | None = None
    fork_mode: str | None = None
    branch: str | None = None
    task_id: str | None = None
    worktree_id: str | None = None
    prompt: str | None = None
    prompts: tuple[PromptItem, ...] = ()
    budget: Budget | None = None
    parked: Parked | None = None
    patience: str = "bounded"
    awaits: str | None = None
    branch_holder: str | None = None
    awaits_budget_of: str | None = None
    interrupt: InterruptItem | None = None


PROMPTS_SHOWN = 20  # the last ones; the log has them all


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, SessionSpawned | SessionForked):
        rows.put(_begun(event, stamp))
        return
    row = rows.get(SessionItem, event.session_id) if isinstance(event, SessionEvent) else None
    if row is not None:
        rows.put(revised(row, stamp, **_changes(row, event)))


def _begun(event: SessionSpawned | SessionForked, stamp: Stamp) -> SessionItem:
    forked = isinstance(event, SessionForked)
    return SessionItem(
        id=event.session_id,
        workspace_id=stamp.workspace_id,
        version=stamp.version,
        created_at=stamp.timestamp,
        updated_at=stamp.timestamp,
        project_id=event.project_id,
        name=event.name,
        status="open",
        adapter=event.agent.adapter,
        argv=event.agent.argv,
        may=tuple(right.value for right in event.may),
        root_session_id=event.root_session_id,
        path=event.path,
        parent_session_id=event.parent_session_id,
        fork_of=event.fork_of if forked else None,
        fork_mode=event.mode if forked else None,
        branch=event.branch,
        task_id=event.task_id,
        prompt=event.prompt.ref if event.prompt else None,
    )


def _changes(row: SessionItem, event: Event) -> dict[str, object]:
    if isinstance(event, SessionWorktreeAttached):
        return {"worktree_id": event.worktree_id, "branch": event.branch or row.branch}
    if isinstance(event, SessionWorktreeDetached):
        return {"worktree_id": None}
    if isinstance(event, PromptFact):
        return {"prompts": _prompted(row.prompts, event)}
    if isinstance(event, InterruptFact):
        return {"interrupt": _interrupting(row.interrupt, event)}
    if isinstance(event, SessionRenamed):
        return {"name": event.name}
    if isinstance(event, SessionBudgetSet | SessionCharged | SessionBudgetExceeded):
        return {"budget": budgeted(row.budget, event)}
    if isinstance(event, SessionParked):
        return {"parked": Parked(run_id=event.run_id, failure=event.failure, due_at=event.due_at)}
    if isinstance(event, SessionUnparked):
        return {"parked": None}
    if isinstance(event, SessionPatienceSet):
        return {"patience": event.patience}
    if isinstance(event, SessionBranchAwaited):
        return {"awaits": event.branch, "branch_holder": event.holder}
    if isinstance(event, SessionBudgetAwaited):
        return {"awaits_budget_of": event.payer}
    given: dict[str, object] = {"awaits": None, "branch_holder": None}
    if isinstance(event, SessionBranchGiven):
        return given
    if isinstance(event, SessionBudgetGiven):
        return {"awaits_budget_of": None}
    return {"status": "closed", "awaits_budget_of": None, **given} if isinstance(event, SessionClosed) else {}


def _prompted(items: tuple[PromptItem, ...], event: PromptFact) -> tuple[PromptItem, ...]:
    if not isinstance(event, PromptAccepted):
        return tuple(_moved(each, event) if each.prompt_id == event.prompt_id else each for each in items)
    added = PromptItem(
        prompt_id=event.prompt_id,
        ref=event.prompt.ref,
        state="accepted",
        resend_of=event.resend_of,
        steer=event.steer,
    )
    return (*items, added)[-PROMPTS_SHOWN:]


def _moved(
    item: PromptItem,
    event: PromptCancelled | PromptHeld | PromptPlaced | PromptSubmitted | PromptUncertain | TurnObserved,
) -> PromptItem:
    free = replace(item, held_by=None, holder=None, evidence=None)
    match event:
        case PromptHeld():
            return replace(item, held_by=event.by, holder=event.user_id, evidence=event.evidence)
        case PromptPlaced():
            return replace(free, state="placed")
        case PromptCancelled():
            return replace(free, state="cancelled", evidence=event.reason)
        case PromptSubmitted():
            return replace(free, state="submitted")
        case PromptUncertain():
            return replace(free, state="uncertain", evidence=event.evidence)
        case TurnObserved():
            return replace(
                free,
                state="turn_observed",
                rule=event.rule,
                evidence=event.evidence,
                steered_into=event.steered_into,
            )
        case _:
            assert_never(event)


def _interrupting(item: InterruptItem | None, event: InterruptFact) -> InterruptItem | None:
    if isinstance(event, InterruptRequested):
        return InterruptItem(
            interrupt_id=event.interrupt_id, run_id=event.run_id, state="requested", turn=event.turn
        )
    if item is None:
        return None
    match event:
        case InterruptPlaced():
            return replace(item, state="placed")
        case InterruptSent():
            return replace(item, state="sent")
        case SessionInterrupted():
            return replace(item, state="interrupted", rule=event.rule, evidence=event.evidence)
        case InterruptNotTaken():
            return replace(item, state="not_taken", evidence=event.evidence)
        case InterruptUncertain():
            return replace(item, state="uncertain", evidence=event.evidence)
        case _:
            assert_never(event)


VIEW = View(
    name="sessions", version=8, collections=(("sessions", SessionItem),), fold=fold, takes=(SessionEvent,)
)
