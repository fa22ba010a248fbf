"""Sentences for what moves most: sessions, their runs, and tasks."""

from typing import assert_never

from moduprompt.cli.live.names import Names
from moduprompt.cli.live.text import plain, without_ids
from moduprompt.cli.live.told_sentences import told_sentence
from moduprompt.domain.run.commands import Begun, ObservedStatus
from moduprompt.domain.run.events import (
    RunConversationChosen,
    RunExited,
    RunFact,
    RunLost,
    RunNoProgressObserved,
    RunOutputRecorded,
    RunRequested,
    RunResized,
    RunStarted,
    RunStatusObserved,
    RunStopRequested,
    RunTold,
)
from moduprompt.domain.session.budgets import dollars, in_words
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
from moduprompt.domain.task.events import (
    AttemptFailed,
    BlockKind,
    DeadlineMissed,
    DeadlineSet,
    RetryScheduled,
    StageChanged,
    TaskAssigned,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFact,
    TaskFailed,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    TaskUnblocked,
)

_OBSERVED: dict[ObservedStatus, str] = {
    "working": "works",
    "waiting_input": "waits for input",
    "blocked_on_permission": "waits for a permission",
    "rate_limited": "is held by a rate limit",
    "idle": "is idle",
    "exited": "has exited",
    "lost": "is lost",
    "unknown": "does something that no rule knows",
}
_BEGUN: dict[Begun, str] = {
    "carried_on": "carries its conversation on",
    "fresh": "begins a fresh conversation",
}
_BLOCKS: dict[BlockKind, str] = {
    "approval": "an approval",
    "policy": "the policy",
    "rate_limit": "its service, which lets nobody in for a while",
    "user_input": "the answer its session waits for",
}


def session_sentence(event: SessionFact, names: Names) -> str:
    """What happened to a session."""
    match event:
        case SessionSpawned():
            parent = event.parent_session_id
            below = "" if parent is None else f" below {names.of(parent)}"
            return f"begins{below} with {event.agent.adapter}{_on(event.branch)}"
        case SessionForked():
            return (
                f"begins as a fork of {names.of(event.fork_of)} with {event.agent.adapter}{_on(event.branch)}"
            )
        case SessionWorktreeAttached():
            return f"has its worktree {names.of(event.worktree_id)}"
        case SessionWorktreeDetached():
            return f"leaves its worktree {names.of(event.worktree_id)}"
        case PromptEvent():
            return _prompt_sentence(event)
        case InterruptEvent():
            return _interrupt_sentence(event)
        case SessionRenamed():
            return f"is now called {plain(event.name)}"
        case SessionBudgetSet() | SessionCharged() | SessionBudgetExceeded():
            return _budget_sentence(event)
        case SessionParked() | SessionUnparked():
            return _parking_sentence(event)
        case SessionBranchAwaited() | SessionBranchGiven():
            return _branch_sentence(event, names)
        case SessionBudgetAwaited():
            return f"begins when the budget of {names.of(event.payer)} has room"
        case SessionBudgetGiven():
            return "waits for a budget no more"
        case SessionPatienceSet():
            stopped = "is stopped" if event.patience == "bounded" else "is not stopped"
            return f"{stopped} when it gets nowhere"
        case SessionHomeErased():
            return "has left nothing of what its programs kept for it"
        case SessionClosed():
            return "is closed" + _because(event.reason)
        case _:
            assert_never(event)


def _prompt_sentence(event: PromptFact) -> str:
    match event:
        case PromptAccepted():
            chars = event.prompt.chars
            again = " once more" if event.resend_of is not None else ""
            steers = " for the turn that runs" if event.steer else ""
            return f"gets a prompt of {chars} character{'' if chars == 1 else 's'}{again}{steers}"
        case PromptCancelled():
            return "does not get its prompt: it was taken back" + _because(event.reason)
        case PromptHeld():
            return f"waits with its prompt: {without_ids(event.evidence)}"
        case PromptPlaced():
            return "has its next prompt at the keyboard"
        case PromptSubmitted():
            return "was told: the prompt is typed"
        case PromptUncertain():
            return f"may not have got its prompt: {without_ids(event.evidence)}"
        case TurnObserved():
            into = "" if event.steered_into is None else f" into turn {event.steered_into}"
            return f"has taken its prompt{into} ({event.rule})"
        case _:
            assert_never(event)


def _interrupt_sentence(event: InterruptFact) -> str:
    match event:
        case InterruptRequested():
            turn = "its turn" if event.turn is None else f"turn {event.turn}"
            return f"shall end {turn}" + _because(event.reason)
        case InterruptPlaced():
            return "is about to be interrupted"
        case InterruptSent():
            return "was told to end its turn"
        case SessionInterrupted():
            return f"is interrupted: {without_ids(event.evidence)}"
        case InterruptNotTaken():
            return f"is not interrupted: {without_ids(event.evidence)}"
        case InterruptUncertain():
            return f"may not have been interrupted: {without_ids(event.evidence)}"
        case _:
            assert_never(event)


def _budget_sentence(event: SessionBudgetSet | SessionCharged | SessionBudgetExceeded) -> str:
    match event:
        case SessionBudgetSet():
            tokens = f"{event.tokens} tokens" if event.tokens is not None else None
            cost = dollars(event.cost_micros) if event.cost_micros is not None else None
            bounds = " and ".join(each for each in (tokens, cost) if each is not None)
            return f"may use {bounds}" if bounds else "may use as much as it likes"
        case SessionCharged():
            cost = dollars(event.cost_micros) if event.is_cost_known else "an unknown cost"
            return f"is charged with {event.tokens} tokens, {cost}"
        case SessionBudgetExceeded():
            return f"has used up its budget: {in_words(event)}"
        case _:
            assert_never(event)


def _parking_sentence(event: SessionParked | SessionUnparked) -> str:
    if isinstance(event, SessionParked):
        return f"is parked until {event.due_at}: {event.failure.value}"
    why = {
        "due": "its time has come",
        "started": "somebody has started it",
        "stopped": "somebody has stopped it",
        "closed": "it is closed",
        "task_ended": "its task is over",
    }
    return f"is parked no more: {why[event.why]}"


def _branch_sentence(event: SessionBranchAwaited | SessionBranchGiven, names: Names) -> str:
    if isinstance(event, SessionBranchGiven):
        return "waits for its branch no more"
    whom = f" by {names.of(event.holder)}" if event.holder is not None else ""
    return f"begins when {plain(event.branch)} is written{whom} no more"


def run_sentence(event: RunFact) -> str:
    """What happened to a run."""
    if isinstance(event, RunTold):
        return told_sentence(event)
    match event:
        case RunRequested():
            return f"shall start {plain(' '.join((event.agent.adapter, *event.agent.argv)))}"
        case RunConversationChosen():
            return f"{_BEGUN[event.begun]}{_because(event.why)}"
        case RunStarted():
            return f"has started as process {event.pid}"
        case RunStatusObserved():
            return f"{_OBSERVED[event.status]}{_because(event.evidence)}"
        case RunResized():
            return f"has a terminal of {event.cols}×{event.rows}"
        case RunStopRequested():
            return "shall stop" + _because(event.reason)
        case RunNoProgressObserved():
            return f"gets nowhere: {plain(event.what)}, {event.times} times in a row"
        case RunOutputRecorded():
            return f"has {event.output_bytes} bytes of output recorded"
        case RunExited():
            return _exited(event)
        case RunLost():
            return f"is lost: {without_ids(event.evidence)}"
        case _:
            assert_never(event)


def task_sentence(event: TaskFact, names: Names) -> str:
    """What happened to a task."""
    match event:
        case TaskCreated():
            return "is planned: " + " → ".join(stage.name for stage in event.stages)
        case TaskAssigned():
            return f"is worked on by {names.of(event.session_id)}"
        case TaskStarted():
            return f"starts, attempt {event.attempt}"
        case StageChanged():
            return f"enters {event.stage}" + (f", after {event.before}" if event.before else "")
        case TaskBlocked():
            to = f"enter {event.stage}" if event.stage else "go on"
            return f"can't {to} without {_BLOCKS[event.by]}"
        case TaskUnblocked():
            return f"waits no more for {_BLOCKS[event.by]}"
        case AttemptFailed():
            return f"failed at attempt {event.attempt}, {event.failure.value}{_because(event.reason)}"
        case RetryScheduled():
            return f"tries again at {event.due_at[11:19]}, attempt {event.attempt}"
        case TaskFailed():
            return f"has failed, {event.failure.value}{_because(event.reason)}"
        case TaskCancelled():
            return "is given up" + _because(event.reason)
        case DeadlineSet():
            return f"is due at {event.due_at}" if event.due_at else "has no deadline any more"
        case DeadlineMissed():
            return f"has missed its deadline {event.due_at}"
        case TaskCompleted() | TaskPaused() | TaskResumed():
            return _resting(event)
        case _:
            assert_never(event)


def _resting(event: TaskCompleted | TaskPaused | TaskResumed) -> str:
    match event:
        case TaskCompleted():
            return "is done"
        case TaskPaused():
            return "is held where it is"
        case TaskResumed():
            return "goes on"
        case _:
            assert_never(event)


def _exited(event: RunExited) -> str:
    match event.how:
        case "exited":
            how = f"ended with {event.code}"
        case "signalled":
            how = f"was ended by signal {event.signal}"
        case "timed_out":
            how = "ran out of time"
        case "stopped":
            how = "was stopped"
        case "not_started":
            how = "could not start"
        case _:
            assert_never(event.how)
    failure = f", {event.failure.value}" if event.failure else ""
    unclear = ", and nobody can say whether its work is done" if event.outcome == "unclear" else ""
    why = _because(event.reason or (event.evidence if event.outcome in ("failed", "unclear") else None))
    left = f"; {event.leftovers} of its processes are left" if event.leftovers else ""
    return f"{how}{failure}{unclear}{why}{left}"


def _on(branch: str | None) -> str:
    return "" if branch is None else f" on {plain(branch)}"


def _because(reason: str | None) -> str:
    return f": {without_ids(reason)}" if reason else ""
