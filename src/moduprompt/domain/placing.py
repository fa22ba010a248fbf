"""Where a session works: it can be given a worktree that is there, and let go of the one it has.

A worktree has many readers and one writer. So any open session of its project may be put there, and its next run
takes the writer's lease or is refused by it. Nobody is moved while a run of theirs lives: its program would go on
where it was. Nor while git merges what they have done: how that went would reach nobody's task.
"""

from moduprompt.domain.decider import Context, Decision, Event, World
from moduprompt.domain.run.decide import still_runs
from moduprompt.domain.session.closed import closed
from moduprompt.domain.session.commands import AttachWorktree, DetachWorktree, PlaceCommand, SessionCommand
from moduprompt.domain.session.decide import decide as decide_session
from moduprompt.domain.session.events import SessionWorktreeAttached, SessionWorktreeDetached
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.worktree.sharing import give_back
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import Rejection, invalid, missing


def decide(
    command: SessionCommand | PlaceCommand, own: SessionState | None, world: World, context: Context
) -> Decision:
    """Facts, or why not: of every order about a session."""
    if not isinstance(command, AttachWorktree | DetachWorktree):
        return decide_session(command, own, world, context)
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    if isinstance(command, AttachWorktree):
        return attach_worktree(command, own, world)
    return detach_worktree(own, world)


def attach_worktree(command: AttachWorktree, own: SessionState, world: World) -> Decision:
    """It works there from its next run on."""
    tree = world.find(WorktreeState, command.worktree_id)
    if tree is None:
        return missing("worktree", command.worktree_id)
    if own.worktree_id == tree.worktree_id:
        return []
    refused = _unfit_session(own, world) or _unfit_tree(tree, own)
    if refused is not None:
        return refused
    branch = tree.branch if tree.branch != own.branch else None
    return [SessionWorktreeAttached(session_id=own.session_id, worktree_id=tree.worktree_id, branch=branch)]


def detach_worktree(own: SessionState, world: World) -> Decision:
    """It works nowhere; the worktree stays as it is, and whoever holds it next may write."""
    if own.worktree_id is None:
        return []
    tree = world.find(WorktreeState, own.worktree_id)
    refused = still_runs(own, world) or (_being_merged(tree) if tree else None)
    if refused is not None:
        return refused
    facts: list[Event] = []
    if tree is not None and tree.writer == own.session_id:
        facts.extend(give_back(tree))
    return [*facts, SessionWorktreeDetached(session_id=own.session_id, worktree_id=own.worktree_id)]


def _unfit_session(own: SessionState, world: World) -> Rejection | None:
    if own.status == "closed":
        return closed(own, "works nowhere")
    if own.worktree_id is not None:
        return invalid(
            "worktree_attached",
            f"session {own.session_id} works in worktree {own.worktree_id}",
            hint=f"mpctl session detach-worktree {own.session_id}",
            worktree_id=own.worktree_id,
        )
    if any(t.session_id == own.session_id and t.status == "requested" for t in world.every(WorktreeState)):
        return invalid(
            "worktree_coming",
            f"the worktree of session {own.session_id} is being made",
            hint="wait until it is there, and detach it",
        )
    return still_runs(own, world)


def _being_merged(tree: WorktreeState) -> Rejection | None:
    if tree.merge_into is None:
        return None
    return invalid(
        "merge_under_way",
        f"the branch of worktree {tree.worktree_id} is being merged into {tree.merge_into}",
        hint="try again when it is done",
    )


def _unfit_tree(tree: WorktreeState, own: SessionState) -> Rejection | None:
    if tree.status != "ready":
        return invalid(
            "worktree_not_ready",
            f"worktree {tree.worktree_id} is {tree.status}",
            hint=f"mpctl worktree show {tree.worktree_id}",
            status=tree.status,
        )
    if tree.project_id != own.project_id:
        return invalid(
            "other_project",
            f"worktree {tree.worktree_id} belongs to project {tree.project_id}",
            hint=f"mpctl worktree create --project {own.project_id} --branch BRANCH",
        )
    return None
