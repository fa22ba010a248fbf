"""Sessions on the board, each with its newest run folded in.

A session waits for a person when its program asks for permission, or for input and no prompt is on its way; once one
is, it waits for the program (which does not read yet) or for the keeper (which types).
"""

from msgspec.structs import replace

from moduprompt.domain.approval.events import ApprovalAnswered, ApprovalAsked, ApprovalEvent
from moduprompt.domain.item import Rows, Stamp
from moduprompt.domain.run.events import (
    RunEvent,
    RunExited,
    RunLost,
    RunRequested,
    RunStarted,
    RunStatusObserved,
    RunStopRequested,
)
from moduprompt.domain.run.state import ENDED
from moduprompt.domain.session.budgets import share_of
from moduprompt.domain.session.events import (
    PromptAccepted,
    PromptCancelled,
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
    SessionParked,
    SessionRenamed,
    SessionSpawned,
    SessionUnparked,
    SessionWorktreeAttached,
    SessionWorktreeDetached,
)
from moduprompt.domain.session.state import Parked, budgeted
from moduprompt.views.board_changes import changed, draw_edge, erase_edge, make_part, new_node, node_of
from moduprompt.views.board_rows import (
    AskedFacts,
    BoardNode,
    PendingPrompt,
    RunFacts,
    SessionFacts,
    Wait,
    short,
)


def fold_session(rows: Rows, event: SessionEvent, stamp: Stamp) -> None:
    """An event of a session into its node and edges."""
    if isinstance(event, SessionSpawned | SessionForked):
        _begin(rows, event, stamp)
        return
    node = node_of(rows, event.session_id)
    if node is None or not isinstance(node.facts, SessionFacts):
        return
    title = event.name if isinstance(event, SessionRenamed) else node.title
    _draw_place(rows, event, stamp)
    rows.put(_settled(node, event, stamp, facts=_told(node.facts, event, stamp), title=title))


def fold_run(rows: Rows, event: RunEvent, stamp: Stamp) -> None:
    """An event of a run into its session's node; those of an older run change nothing."""
    if isinstance(event, RunRequested):
        label = f"run {event.ordinal}"
        make_part(rows, event, stamp, node_id=event.session_id, label=label)
    node = node_of(rows, event.run_id)
    if node is None or not isinstance(node.facts, SessionFacts):
        return
    run = _seen(node.facts.run, event, stamp)
    rows.put(_settled(node, event, stamp, facts=replace(node.facts, run=run), title=node.title))


def fold_question(rows: Rows, event: ApprovalEvent, stamp: Stamp) -> None:
    """What a program asks, into its session's node, until somebody has decided."""
    if isinstance(event, ApprovalAsked):
        make_part(rows, event, stamp, node_id=event.session_id, label=f"permission to use {event.tool}")
    node = node_of(rows, event.approval_id)
    if node is None or not isinstance(node.facts, SessionFacts) or isinstance(event, ApprovalAnswered):
        return
    asks = tuple(each for each in node.facts.asks if each.approval_id != event.approval_id)
    if isinstance(event, ApprovalAsked):
        asked = AskedFacts(approval_id=event.approval_id, tool=event.tool, since=stamp.timestamp)
        asks = (*asks, asked)
    rows.put(_settled(node, event, stamp, facts=replace(node.facts, asks=asks), title=node.title))


def _begin(rows: Rows, event: SessionSpawned | SessionForked, stamp: Stamp) -> None:
    forked = isinstance(event, SessionForked)
    facts = SessionFacts(
        adapter=event.agent.adapter,
        argv=event.agent.argv,
        path=event.path,
        place=event.place,
        branch=event.branch,
        parent_session_id=event.parent_session_id,
        fork_of=event.fork_of if forked else None,
        fork_mode=event.mode if forked else None,
        task_id=event.task_id,
    )
    node = new_node(event, stamp, kind="session", title=event.name, facts=facts)
    rows.put(_settled(node, event, stamp, facts=facts, title=event.name))
    if event.parent_session_id is not None:
        draw_edge(rows, stamp, "lineage", source=event.parent_session_id, target=event.session_id)
    if forked:
        draw_edge(rows, stamp, "fork", source=event.fork_of, target=event.session_id)
    if event.task_id is not None:
        draw_edge(rows, stamp, "provenance", source=event.task_id, target=event.session_id)


def _draw_place(rows: Rows, event: SessionEvent, stamp: Stamp) -> None:
    if isinstance(event, SessionWorktreeAttached):
        draw_edge(rows, stamp, "attachment", source=event.session_id, target=event.worktree_id)
    elif isinstance(event, SessionWorktreeDetached):
        erase_edge(rows, "attachment", source=event.session_id, target=event.worktree_id)


def _told(facts: SessionFacts, event: SessionEvent, stamp: Stamp) -> SessionFacts:
    match event:
        case SessionWorktreeAttached():
            branch = facts.branch if event.branch is None else event.branch
            return replace(facts, worktree_id=event.worktree_id, branch=branch)
        case SessionWorktreeDetached():
            return replace(facts, worktree_id=None)
        case PromptAccepted():
            added = PendingPrompt(prompt_id=event.prompt_id, since=stamp.timestamp)
            return replace(facts, prompts=(*facts.prompts, added))
        case PromptPlaced():
            prompts = (
                replace(p, is_placed=p.is_placed or p.prompt_id == event.prompt_id) for p in facts.prompts
            )
            return replace(facts, prompts=tuple(prompts))
        case PromptHeld():
            held = (_held(p, event) if p.prompt_id == event.prompt_id else p for p in facts.prompts)
            return replace(facts, prompts=tuple(held))
        case PromptSubmitted() | PromptCancelled():
            return replace(facts, prompts=_without(facts.prompts, event.prompt_id))
        case PromptUncertain():
            left = _without(facts.prompts, event.prompt_id)
            return replace(facts, prompts=left, uncertain=facts.uncertain + 1)
        case SessionBudgetSet() | SessionCharged() | SessionBudgetExceeded():
            return replace(facts, budget=budgeted(facts.budget, event))
        case SessionParked():
            parked = Parked(run_id=event.run_id, failure=event.failure, due_at=event.due_at)
            return replace(facts, parked=parked)
        case SessionUnparked():
            return replace(facts, parked=None)
        case SessionBranchAwaited():
            since = facts.awaits_since or stamp.timestamp
            return replace(facts, awaits=event.branch, awaits_since=since, branch_holder=event.holder)
        case SessionBranchGiven():
            return replace(facts, awaits=None, awaits_since=None, branch_holder=None)
        case SessionBudgetAwaited():
            since = facts.awaits_budget_since or stamp.timestamp
            return replace(facts, awaits_budget_of=event.payer, awaits_budget_since=since)
        case SessionBudgetGiven():
            return replace(facts, awaits_budget_of=None, awaits_budget_since=None)
        case SessionClosed():
            closed = replace(facts, is_closed=True, awaits=None, awaits_since=None, branch_holder=None)
            return replace(closed, awaits_budget_of=None, awaits_budget_since=None)
        case _:
            return facts


def _held(prompt: PendingPrompt, event: PromptHeld) -> PendingPrompt:
    return replace(prompt, held_by=event.by, evidence=event.evidence)


def _without(prompts: tuple[PendingPrompt, ...], prompt_id: str) -> tuple[PendingPrompt, ...]:
    return tuple(p for p in prompts if p.prompt_id != prompt_id)


def _seen(run: RunFacts | None, event: RunEvent, stamp: Stamp) -> RunFacts | None:
    if isinstance(event, RunRequested):
        return RunFacts(run_id=event.run_id, ordinal=event.ordinal, since=stamp.timestamp)
    if run is None or run.run_id != event.run_id:
        return run
    match event:
        case RunStarted():
            return replace(run, status="started", since=stamp.timestamp)
        case RunStatusObserved():
            since = run.since if run.observed == event.status else stamp.timestamp
            return replace(run, observed=event.status, evidence=event.evidence, since=since)
        case RunStopRequested():
            return replace(run, is_stopping=True)
        case RunExited():
            failure = event.failure.value if event.failure is not None else None
            ended = replace(run, status="exited", how=event.how, code=event.code, signal=event.signal)
            evidence = event.reason if event.outcome == "succeeded" else event.reason or event.evidence
            return replace(
                ended, failure=failure, outcome=event.outcome, evidence=evidence, since=stamp.timestamp
            )
        case RunLost():
            return replace(run, status="lost", evidence=event.evidence, since=stamp.timestamp)
        case _:
            return run


def _settled(
    node: BoardNode,
    event: SessionEvent | RunEvent | ApprovalEvent,
    stamp: Stamp,
    *,
    facts: SessionFacts,
    title: str,
) -> BoardNode:
    """The node with everything that follows from its facts."""
    return changed(
        node,
        event,
        stamp,
        facts=facts,
        title=title,
        status=_status(facts),
        detail=_detail(facts),
        waits=_waits(node.id, title, facts),
    )


def _status(facts: SessionFacts) -> str:
    run = facts.run
    if facts.parked is not None and not facts.is_closed:
        return "parked"
    if run is None:
        return "closed" if facts.is_closed else "opening"
    if run.status == "lost":
        return "lost"
    if run.status == "exited":
        return _ending(run)
    if run.is_stopping:
        return "stopping"
    if run.status == "requested":
        return "starting"
    return "running" if run.observed == "unknown" else run.observed


def _ending(run: RunFacts) -> str:
    """By its outcome where there is one: an exit code of 0 is a program's word about itself."""
    if run.how == "stopped":
        return "stopped"
    if run.outcome in ("failed", "unclear"):
        return run.outcome
    return "exited" if run.how == "exited" and run.code == 0 else "failed"


def _detail(facts: SessionFacts) -> tuple[str, ...]:
    lines = [" ".join((facts.adapter, *facts.argv))]
    if facts.branch is not None:
        lines.append(f"branch {facts.branch}")
    run = facts.run
    if run is not None:
        lines.append(f"run {run.ordinal}: {_account(run)}")
    if facts.budget is not None:
        lines.append(f"budget {share_of(facts.budget)} %")
    if facts.uncertain:
        lines.append("nobody can say whether its last prompt was typed")
    return tuple(lines)


def _account(run: RunFacts) -> str:
    """What became of a run, in words."""
    if run.status == "requested":
        return "requested"
    if run.status == "started":
        return run.observed if run.evidence is None else f"{run.observed} ({run.evidence})"
    if run.status == "lost":
        return f"lost ({run.evidence})"
    words = {"signalled": f"signal {run.signal}", "timed_out": "timed out", "not_started": "not started"}
    how = words.get(run.how or "", f"{run.how} with {run.code}" if run.code is not None else f"{run.how}")
    return how if run.evidence is None else f"{how} ({run.evidence})"


ON_SCREENS = frozenset(
    {"command", "scripted"}
)  # what they do is read off their screen, where a person can type
_HOLDERS: dict[str, str] = {
    "draft": "a person, whose half-typed line stands there",
    "dialog": "a person, who is asked something",
    "screen": "a person: its program may not be taking text",
}


def _waits(session_id: str, title: str, facts: SessionFacts) -> tuple[Wait, ...]:
    run = facts.run
    if facts.awaits_budget_of is not None and facts.awaits_budget_since is not None:
        return (_on_budget(title, facts.awaits_budget_of, since=facts.awaits_budget_since),)
    if facts.awaits is not None and facts.awaits_since is not None:
        return (_on_branch(title, facts, since=facts.awaits_since),)
    if facts.parked is not None and run is not None and not facts.is_closed:
        return (
            Wait(
                what=f"{title} is parked: {facts.parked.failure.value}",
                on="clock",
                whom="the clock",
                since=run.since,
                until=facts.parked.due_at,
                command=f"mpctl run start {short(session_id)}",
            ),
        )
    if run is None or run.status in ENDED or facts.is_closed:
        return ()
    if run.status == "requested":
        since = run.since
        return (Wait(what=f"the program of {title} starts", on="keeper", whom="its keeper", since=since),)
    if facts.asks:
        return tuple(_on_owner(title, each) for each in facts.asks)
    if facts.prompts:
        return (_undelivered(title, facts),)
    if run.observed == "waiting_input":
        return (
            Wait(
                what=f"{title} asks for input",
                on="person",
                whom="a person",
                since=run.since,
                command=f"mpctl session prompt {short(session_id)} 'your answer'",
                note=run.evidence,
            ),
        )
    if run.observed == "blocked_on_permission":
        what = f"{title} asks for permission in its terminal"
        return (Wait(what=what, on="person", whom="a person", since=run.since, note=run.evidence),)
    if run.observed == "rate_limited":
        what = f"{title} is held by a rate limit"
        return (Wait(what=what, on="provider", whom="its provider", since=run.since, note=run.evidence),)
    return ()


def _on_branch(title: str, facts: SessionFacts, *, since: str) -> Wait:
    holder = facts.branch_holder
    return Wait(
        what=f"{title} begins when nobody writes on {facts.awaits}",
        on="program" if holder else "git",
        whom=f"session {short(holder)}, which writes there" if holder else "git",
        since=since,
        command=f"mpctl session show {short(holder)}" if holder else None,
    )


def _on_budget(title: str, payer: str, *, since: str) -> Wait:
    return Wait(
        what=f"{title} begins when its budget has room",
        on="person",
        whom=f"a person, who raises the budget of session {short(payer)}",
        since=since,
        command=f"mpctl session set-budget {short(payer)} --tokens N --cost USD",
    )


def _on_owner(title: str, asked: AskedFacts) -> Wait:
    return Wait(
        what=f"{title} may use {asked.tool}?",
        on="owner",
        whom="the workspace's owner",
        since=asked.since,
        command=f"mpctl approval grant {short(asked.approval_id)}",
    )


def _undelivered(title: str, facts: SessionFacts) -> Wait:
    run, prompt = facts.run, facts.prompts[0]
    is_at_rest = run is not None and run.observed in ("waiting_input", "idle")
    blocked = run is not None and run.observed == "blocked_on_permission"
    if blocked or (is_at_rest and prompt.held_by is not None and not prompt.is_placed):
        return Wait(
            what=f"a prompt for {title} is not typed yet",
            on="person",
            whom=_HOLDERS["dialog" if blocked else prompt.held_by or "screen"],
            since=prompt.since,
            command=f"mpctl run attach {short(run.run_id)}" if run is not None else None,
            note=run.evidence if blocked and run is not None else prompt.evidence,
        )
    if prompt.is_placed or is_at_rest:
        what = f"a prompt for {title} is typed"
        return Wait(what=what, on="keeper", whom="its keeper", since=prompt.since)
    what = f"a prompt for {title} is not typed yet"
    if run is not None and run.observed == "unknown" and facts.adapter in ON_SCREENS:
        return Wait(
            what=what,
            on="program",
            whom="its program, or a person who looks at its screen",
            since=prompt.since,
            command=f"mpctl run attach {short(run.run_id)}",
            note=run.evidence,
        )
    return Wait(what=what, on="program", whom="its program, which does not read yet", since=prompt.since)
