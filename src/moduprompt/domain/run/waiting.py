"""Runs that wait: for their branch, which whoever finds it held gets when it is free, in turn; and for room in a budget.

A run that begins by itself (a session's first, one whose window has opened, a task's next attempt) waits where a
person's order would be refused: nobody is there to try again. An attempt of a task that finds a budget used up fails
with it: its retries decide what becomes of it, and with the task its session waits for nothing any more.
"""

from typing import TypeAlias

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.run.conversations import conversation_of_original
from moduprompt.domain.run.decide import begin_run, has_run, live_run, locked_out, unfit_to_run
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.budgets import bound_passed
from moduprompt.domain.session.events import SessionBranchAwaited, SessionBudgetAwaited
from moduprompt.domain.session.state import SessionState, Waiting
from moduprompt.domain.session.waits import waits_no_more
from moduprompt.domain.worktree.events import WorktreeFailed, WorktreeSettled, WriterLocked, WriterReleased
from moduprompt.domain.worktree.sharing import holder
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import SessionId

Freed: TypeAlias = WriterReleased | WorktreeSettled | WorktreeFailed


def wait_for_branch(
    session: SessionState,
    world: World,
    *,
    resumes: RunState | None = None,
    continues: RunState | None = None,
    behind: SessionId | None = None,
) -> list[Event]:
    """It stands in line for its branch; nothing where nobody holds that, or something else is in its way.

    `behind`: who gets the branch in the same decision, so that the world does not show it yet.
    """
    tree = world.find(WorktreeState, session.worktree_id) if session.worktree_id else None
    if tree is None or session.status == "closed" or live_run(session.session_id, world) is not None:
        return []
    refused = unfit_to_run(session, world)
    if session.waiting is not None or refused != locked_out(session, world):
        return []  # it stands there, or something else is in its way
    if refused is None and behind is None:
        return []
    turns = (each.waiting.turn for each in _line(tree.branch, world) if each.waiting)
    return [
        SessionBranchAwaited(
            session_id=session.session_id,
            branch=tree.branch,
            turn=max(turns, default=0) + 1,
            holder=behind or _writer(tree, world),
            resumes=resumes.run_id if resumes else None,
            continues=continues.run_id if continues else None,
        )
    ]


def begin_next(event: Freed, world: World, context: Context) -> list[Event]:
    """The next run on a branch on which nobody writes any more."""
    tree = world.find(WorktreeState, event.worktree_id)
    told: list[Event] = []
    for session in _line(tree.branch, world) if tree else ():
        # Who can't run now goes on waiting; whoever mends that starts the run, and a raised budget does.
        begun = begin_waiting(session, world, context)
        if begun:
            return [*told, *begun]
        waiting = session.waiting
        told += wait_for_budget(
            session,
            world,
            resumes=world.find(RunState, waiting.resumes) if waiting and waiting.resumes else None,
            continues=world.find(RunState, waiting.continues) if waiting and waiting.continues else None,
        )
    return told


def wait_for_budget(
    session: SessionState,
    world: World,
    *,
    resumes: RunState | None = None,
    continues: RunState | None = None,
) -> list[Event]:
    """It waits until a used-up budget has room; nothing where there is room, and where it waits for that already."""
    passed = bound_passed(session, world)
    if passed is None or (session.unfunded is not None and session.unfunded.payer == passed.session_id):
        return []
    return [
        SessionBudgetAwaited(
            session_id=session.session_id,
            payer=passed.session_id,
            resumes=resumes.run_id if resumes else None,
            continues=continues.run_id if continues else None,
        )
    ]


def begin_waiting(session: SessionState, world: World, context: Context) -> list[Event]:
    """The run of one that stands in line, where nothing is in its way any more."""
    waiting = session.waiting
    if waiting is None or unfit_to_run(session, world) is not None:
        return []
    return begin_run(
        session,
        world,
        context,
        resumes=_carried_on(session, waiting, world),
        continues=world.find(RunState, waiting.continues) if waiting.continues else None,
    )


def tell_who_waits(event: WriterLocked, world: World) -> list[Event]:
    """Who waits for a branch knows whom it waits for now."""
    tree = world.find(WorktreeState, event.worktree_id)
    return [
        SessionBranchAwaited(
            session_id=session.session_id,
            branch=tree.branch,
            turn=session.waiting.turn,
            holder=event.session_id,
            resumes=session.waiting.resumes,
            continues=session.waiting.continues,
        )
        for session in (_line(tree.branch, world) if tree else ())
        if tree is not None
        and session.waiting is not None
        and session.waiting.holder != event.session_id
        and session.session_id != event.session_id
        and _repository(session, world) == tree.repository
    ]


def wait_no_more(world: World) -> list[Event]:
    """Nobody waits, and nothing begins by itself."""
    return [fact for each in world.every(SessionState) for fact in waits_no_more(each)]


def _line(branch: str, world: World) -> list[SessionState]:
    return sorted(world.related(SessionState, branch), key=_turn)


def _turn(session: SessionState) -> int:
    return session.waiting.turn if session.waiting else 0


def _carried_on(session: SessionState, waiting: Waiting, world: World) -> RunState | None:
    if waiting.resumes is not None:
        return world.find(RunState, waiting.resumes)
    return None if has_run(session.session_id, world) else conversation_of_original(session, world)


def _writer(tree: WorktreeState, world: World) -> SessionId | None:
    other = holder(tree, world)
    return tree.writer or (other.writer if other else None)


def _repository(session: SessionState, world: World) -> str | None:
    tree = world.find(WorktreeState, session.worktree_id) if session.worktree_id else None
    return tree.repository if tree else None
