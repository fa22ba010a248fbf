"""What holds in every state that orders can lead to: nothing waits for what can't come.

Each rule gives a sentence for each thing that is stuck or held by nobody; none is fine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.attempts import awaits_person
from moduprompt.domain.task.proposals import closed_gates
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.state import WorktreeState
from tests.support.domain import Folded

Rule = Callable[[Folded], Iterator[str]]


def leases_have_an_end(world: Folded) -> Iterator[str]:
    """Whoever holds a lease is open or has a run that ends; and there is something to write."""
    for tree in world.every(WorktreeState):
        session = world.find(SessionState, tree.writer) if tree.writer else None
        if session is None:
            continue
        if session.status == "closed" and not _live(world, session.session_id):
            yield f"worktree {tree.worktree_id} is locked by a closed session"
        if tree.status != "ready":
            yield f"worktree {tree.worktree_id} is {tree.status} and locked"


def sessions_run_once(world: Folded) -> Iterator[str]:
    """A session has one live run at most."""
    for session in world.every(SessionState):
        if len(_live(world, session.session_id)) > 1:
            yield f"session {session.session_id} has two live runs"


def sessions_have_a_place(world: Folded) -> Iterator[str]:
    """An open session that wants a worktree has one, gets one, or had one that was deleted."""
    for session in world.every(SessionState):
        trees = [t for t in world.every(WorktreeState) if t.session_id == session.session_id]
        wants = session.place == "new_worktree" and session.status == "open"
        if wants and all(tree.status == "failed" for tree in trees):
            yield f"session {session.session_id} waits for a worktree that does not come"


def placed_prompts_are_followed_up(world: Folded) -> Iterator[str]:
    """A prompt that may have been typed belongs to a live run."""
    for session in world.every(SessionState):
        if any(prompt.is_placed for prompt in session.prompts) and not _live(world, session.session_id):
            yield f"session {session.session_id} has a placed prompt and no run"


def work_under_way_is_in_a_ready_worktree(world: Folded) -> Iterator[str]:
    """Commits and merges are asked for where they can be made."""
    for tree in world.every(WorktreeState):
        if tree.status != "ready" and (tree.commit_message is not None or tree.merge_into is not None):
            yield f"worktree {tree.worktree_id} is {tree.status} with work under way"


def held_tasks_have_a_closed_gate(world: Folded) -> Iterator[str]:
    """A proposal is noted exactly while a gate holds it; a pause may hide that it opened."""
    for own in world.every(TaskState):
        if (own.proposed is not None) != ("approval" in own.blocks):
            yield f"task {own.task_id} proposes {own.proposed}, blocked by {own.blocks}"
        if own.phase == "running" and own.proposed and not closed_gates(own, own.proposed, world):
            yield f"task {own.task_id} is held by no gate"


def waiting_tasks_wait_for_a_run(world: Folded) -> Iterator[str]:
    """A task waits for a person exactly while its session's program does."""
    for own in world.every(TaskState):
        waits = own.is_under_way() and awaits_person(own.session_id, world)
        if waits != ("user_input" in own.blocks):
            yield f"task {own.task_id} is blocked by {own.blocks}, but its run waits: {waits}"


def merging_tasks_have_a_merge(world: Folded) -> Iterator[str]:
    """A task whose last stage merges waits for a merge that was asked for, or for a new yes to it."""
    for own in world.every(TaskState):
        if not own.is_merging() or own.stage != own.stages[-1].name or own.proposed == own.stage:
            continue
        session = world.find(SessionState, own.session_id) if own.session_id else None
        tree = world.find(WorktreeState, session.worktree_id) if session and session.worktree_id else None
        if tree is None or tree.merge_into is None:
            yield f"task {own.task_id} waits for a merge that nobody makes"


def retries_wait_in_the_queue(world: Folded) -> Iterator[str]:
    """A due retry belongs to a task that is queued, or was paused while it was."""
    for own in world.every(TaskState):
        if own.retry_due is not None and own.is_under_way():
            yield f"task {own.task_id} is {own.phase} with a retry due"


def closed_tasks_wait_for_nothing(world: Folded) -> Iterator[str]:
    """What is over has no block, no proposal, no deadline and no retry."""
    for own in world.every(TaskState):
        if not own.is_open() and (own.blocks or own.proposed or own.deadline or own.retry_due):
            yield f"task {own.task_id} is {own.phase} and waits"


INVARIANTS: tuple[Rule, ...] = (
    leases_have_an_end,
    sessions_run_once,
    sessions_have_a_place,
    placed_prompts_are_followed_up,
    work_under_way_is_in_a_ready_worktree,
    held_tasks_have_a_closed_gate,
    waiting_tasks_wait_for_a_run,
    merging_tasks_have_a_merge,
    retries_wait_in_the_queue,
    closed_tasks_wait_for_nothing,
)


def broken(world: Folded) -> list[str]:
    """Everything that does not hold."""
    return [f"{rule.__name__}: {what}" for rule in INVARIANTS for what in rule(world)]


def _live(world: Folded, session_id: str) -> list[RunState]:
    return [run for run in world.related(RunState, session_id) if run.is_live()]
