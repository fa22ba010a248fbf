"""Worktrees on the board: git is what they wait for."""

from msgspec.structs import replace

from moduprompt.domain.item import Rows, Stamp
from moduprompt.domain.worktree.events import (
    CommitRequested,
    MergeRequested,
    WorktreeCommitted,
    WorktreeEvent,
    WorktreeFact,
    WorktreeFailed,
    WorktreeMerged,
    WorktreeRequested,
    WorktreeSettled,
)
from moduprompt.domain.worktree.state import evolve
from moduprompt.views.board_changes import changed, new_node, node_of
from moduprompt.views.board_rows import BoardNode, Wait, WorktreeFacts, short

COMMITS_SHOWN = 50  # the last ones; git has them all


def fold_worktree(rows: Rows, event: WorktreeEvent, stamp: Stamp) -> None:
    """An event of a worktree into its node."""
    if isinstance(event, WorktreeRequested):
        facts = WorktreeFacts(state=evolve(None, event))
        node = new_node(event, stamp, kind="worktree", title=event.branch, facts=facts)
        rows.put(_settled(node, event, stamp, facts=facts))
        return
    node = node_of(rows, event.worktree_id)
    if node is None or not isinstance(node.facts, WorktreeFacts):
        return
    fact: WorktreeFact = event  # type: ignore[assignment]  # every WorktreeEvent is one of the union
    facts = replace(node.facts, state=evolve(node.facts.state, fact))
    rows.put(_settled(node, event, stamp, facts=_done(facts, event, stamp)))


def _done(facts: WorktreeFacts, event: WorktreeEvent, stamp: Stamp) -> WorktreeFacts:
    match event:
        case CommitRequested():
            return replace(facts, commit_since=stamp.timestamp, failure=None)
        case WorktreeCommitted():
            return replace(facts, commits=(*facts.commits, *event.commits)[-COMMITS_SHOWN:])
        case WorktreeSettled():
            return replace(facts, failure=None)
        case MergeRequested():
            return replace(facts, merge_since=stamp.timestamp, failure=None)
        case WorktreeMerged():
            if event.brought_nothing and not facts.commits:
                return facts
            return replace(facts, merged_as=event.commit, merged_into=event.into)
        case WorktreeFailed():
            return replace(facts, failure=f"{event.operation}: {event.reason or event.failure.value}")
        case _:
            return facts


def _settled(node: BoardNode, event: WorktreeEvent, stamp: Stamp, *, facts: WorktreeFacts) -> BoardNode:
    status = _status(facts)
    since = stamp.timestamp if status != node.status else node.since
    return changed(
        node,
        event,
        stamp,
        facts=facts,
        status=status,
        detail=_detail(facts),
        waits=_waits(facts, since=since),
    )


def _status(facts: WorktreeFacts) -> str:
    state = facts.state
    if state.status != "ready":
        return state.status
    if state.merge_into is not None:
        return "merging"
    if state.commit_message is not None:
        return "committing"
    if state.is_settling:
        return "settling"
    return "merged" if facts.merged_as is not None else "ready"


def _detail(facts: WorktreeFacts) -> tuple[str, ...]:
    lines = [f"from {facts.state.base}"]
    if facts.commits:
        lines.append(f"{len(facts.commits)} commit{'s' if len(facts.commits) > 1 else ''}")
    if facts.merged_as is not None:
        lines.append(f"merged into {facts.merged_into} as {facts.merged_as[:12]}")
    if facts.failure is not None:
        lines.append(facts.failure)
    return tuple(lines)


def _waits(facts: WorktreeFacts, *, since: str) -> tuple[Wait, ...]:
    state = facts.state
    if state.status == "requested":
        return (_on_git(f"the worktree of {state.branch} is made", since),)
    if state.status == "deleting":
        return (_on_git(f"the worktree of {state.branch} is removed", since),)
    if state.status == "failed" and state.session_id is not None:
        return (
            Wait(
                what=f"the worktree of {state.branch} could not be made",
                on="person",
                whom="a person",
                since=since,
                command=f"mpctl session close {short(state.session_id)}",
                note=facts.failure,
            ),
        )
    waits: list[Wait] = []
    if state.commit_message is not None:
        waits.append(_on_git(f"{state.branch} is committed", facts.commit_since or since))
    if state.is_settling:
        waits.append(_on_git(f"the worktree is brought to {state.branch}", since))
    if state.merge_into is not None:
        what = f"{state.branch} is merged into {state.merge_into}"
        waits.append(_on_git(what, facts.merge_since or since))
    return tuple(waits)


def _on_git(what: str, since: str) -> Wait:
    return Wait(what=what, on="git", whom="git", since=since)
