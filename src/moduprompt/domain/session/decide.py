"""Which orders about a session are taken."""

import re
from typing import assert_never

from moduprompt.domain.decider import Context, Decision, World
from moduprompt.domain.project.decide import takes_no_work
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.session.budgets import first_budget, set_budget, spent_out, unfit_budget
from moduprompt.domain.session.closed import closed
from moduprompt.domain.session.commands import (
    CancelPrompt,
    CloseSession,
    FireUnpark,
    ForkSession,
    Place,
    PromptSession,
    RenameSession,
    ReportHomeErased,
    ReportPrompt,
    ReportPromptHeld,
    ReportTurn,
    ResendPrompt,
    SessionCommand,
    SetBudget,
    SetPatience,
    SpawnSession,
)
from moduprompt.domain.session.events import (
    SessionClosed,
    SessionForked,
    SessionHomeErased,
    SessionPatienceSet,
    SessionRenamed,
    SessionSpawned,
    SessionUnparked,
)
from moduprompt.domain.session.limits import within
from moduprompt.domain.session.prompting import (
    accept_prompt,
    cancel_prompt,
    hold_prompt,
    observe_turn,
    report_prompt,
    resend_prompt,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.session.width import too_wide_below, too_wide_beside
from moduprompt.policy.rights import DEFAULT_RIGHTS, narrowed
from moduprompt.protocol import Code, Rejection, SessionId, invalid, missing

DEPTH_MAX = 16  # a lineage this deep has lost its purpose


def decide(command: SessionCommand, own: SessionState | None, world: World, context: Context) -> Decision:
    """Facts, or why not."""
    if isinstance(command, SpawnSession):
        return _spawn(command, world, context)
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    match command:
        case ForkSession():
            return _fork(command, own, world=world, context=context)
        case PromptSession():
            return accept_prompt(command, own, world=world, context=context)
        case CancelPrompt():
            return cancel_prompt(command, own)
        case ResendPrompt():
            return resend_prompt(command, own, world=world, context=context)
        case RenameSession():
            if command.name == own.name:
                return []
            return [SessionRenamed(session_id=own.session_id, name=command.name)]
        case SetPatience():
            if command.patience == own.patience:
                return []
            return [SessionPatienceSet(session_id=own.session_id, patience=command.patience)]
        case FireUnpark():
            if own.parked is None or own.parked.run_id != command.run_id:
                return []
            return [SessionUnparked(session_id=own.session_id, run_id=command.run_id, why="due")]
        case SetBudget():
            return set_budget(command, own)
        case ReportHomeErased():
            if own.status != "closed" or own.is_home_erased:
                return []
            return [SessionHomeErased(session_id=own.session_id)]
        case CloseSession():
            if own.status == "closed":
                return []
            return [SessionClosed(session_id=own.session_id, reason=command.reason)]
        case ReportPrompt():
            return report_prompt(command, own)
        case ReportPromptHeld():
            return hold_prompt(command, own)
        case ReportTurn():
            return observe_turn(command, own)
        case _:
            assert_never(command)


def branch_name(name: str, session_id: SessionId) -> str:
    """The branch of a session that names none: readable, and unique by the id's random end."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "session"
    return f"mp/{slug}-{session_id[-8:]}"


def _spawn(command: SpawnSession, world: World, context: Context) -> Decision:
    project = world.find(ProjectState, command.project_id)
    if project is None:
        return missing("project", command.project_id)
    if isinstance(context.observed, Rejection):
        return context.observed
    parent = None
    if command.parent_session_id is not None:
        parent = world.find(SessionState, command.parent_session_id)
        if parent is None:
            return missing("session", command.parent_session_id)
    refused = (
        _unfit_project(project, command.place, world)
        or _unfit_parent(parent, command, world)
        or unfit_budget(command)
        or _unfit_patience(command, context)
    )
    if refused is not None:
        return refused
    session_id = context.mint(SessionId)
    path = (*(parent.path if parent else ()), session_id)
    wants_tree = command.place == "new_worktree"
    inherited = parent.branch if parent and parent.worktree_id else None
    main = project.main_repository()
    return [
        SessionSpawned(
            session_id=session_id,
            project_id=command.project_id,
            name=command.name,
            agent=command.agent.to_agent(),
            may=narrowed(command.may, parent.may if parent else DEFAULT_RIGHTS),
            root_session_id=path[0],
            path=path,
            place=command.place,
            branch=(command.branch or branch_name(command.name, session_id)) if wants_tree else None,
            base=(command.base or inherited or (main.branch if main else None)) if wants_tree else None,
            parent_session_id=command.parent_session_id,
            prompt=context.text_ref,
            task_id=command.task_id,
            limits=within(
                command.limits.to_limits() if command.limits else None, parent.limits if parent else None
            ),
        ),
        *first_budget(command, session_id),
        *_first_patience(command, session_id),
    ]


def _unfit_patience(command: SpawnSession, context: Context) -> Rejection | None:
    """Who may not set its own patience gives no child more of it."""
    if command.patience == "bounded" or context.actor.kind != "session":
        return None
    return Rejection(
        code=Code.POLICY_DENIED,
        message=f"session {context.actor.id} can't spawn one that is not stopped when it gets nowhere",
        details={"reason": "never_for_sessions"},
        hint="spawn it without --endless; a user may say session set-patience",
    )


def _first_patience(command: SpawnSession, session_id: SessionId) -> list[SessionPatienceSet]:
    if command.patience == "bounded":
        return []
    return [SessionPatienceSet(session_id=session_id, patience=command.patience)]


def _unfit_project(project: ProjectState, place: Place, world: World) -> Rejection | None:
    refused = takes_no_work(project, world)
    if refused is not None:
        return refused
    if place == "new_worktree" and project.main_repository() is None:
        return invalid(
            "no_repository",
            f"project {project.project_id} has no repository to make a worktree from",
            hint=f"mpctl project attach {project.project_id} PATH",
        )
    return None


def _unfit_parent(parent: SessionState | None, command: SpawnSession, world: World) -> Rejection | None:
    if parent is None:
        return None
    if parent.status == "closed":
        return closed(parent, "spawns nothing")
    if parent.project_id != command.project_id:
        return invalid(
            "other_project",
            f"session {parent.session_id} belongs to project {parent.project_id}",
            hint="a child works in its parent's project: give that one, or no parent",
        )
    if len(parent.path) >= DEPTH_MAX:
        return invalid(
            "lineage_too_deep",
            f"session {parent.session_id} is {DEPTH_MAX} deep already",
            hint=f"spawn it below one further up, or fork: mpctl session fork {parent.session_id} NAME",
        )
    return too_wide_below(parent, world) or spent_out(parent, world)


def _fork(command: ForkSession, own: SessionState, *, world: World, context: Context) -> Decision:
    if isinstance(context.observed, Rejection):
        return context.observed
    place: Place = "none" if command.mode == "planning_only" else "new_worktree"
    refused = (
        _unfit_fork(command, own)
        or _unfit_home(own, place, world)
        or too_wide_beside(own, world)
        or spent_out(own, world)
    )
    if refused is not None:
        return refused
    session_id = context.mint(SessionId)
    wants_tree = place == "new_worktree"
    path = (*own.path[:-1], session_id)
    return [
        SessionForked(
            session_id=session_id,
            project_id=own.project_id,
            name=command.name,
            agent=command.agent.to_agent() if command.agent else own.agent,
            may=own.may,
            root_session_id=path[0],
            path=path,
            place=place,
            branch=_branch_of_fork(command, own, session_id) if wants_tree else None,
            base=own.branch if wants_tree else None,
            parent_session_id=own.parent_session_id,
            prompt=context.text_ref,
            limits=own.limits,
            fork_of=own.session_id,
            mode=command.mode,
            dirty=command.dirty,
        )
    ]


def _branch_of_fork(command: ForkSession, own: SessionState, session_id: SessionId) -> str | None:
    if command.mode == "same_branch":
        return own.branch
    return command.branch or branch_name(command.name, session_id)


def _unfit_home(own: SessionState, place: Place, world: World) -> Rejection | None:
    project = world.find(ProjectState, own.project_id)
    assert project is not None, "BUG: a session's project exists"
    return _unfit_project(project, place, world)


def _unfit_fork(command: ForkSession, own: SessionState) -> Rejection | None:
    if command.mode == "same_branch" and command.branch not in (None, own.branch):
        return invalid(
            "branch_given",
            f"a fork on the same branch as session {own.session_id} works on {own.branch}",
            hint="leave --branch out, or use the default mode: a new worktree and a new branch",
        )
    if command.dirty and command.mode == "planning_only":
        return invalid(
            "no_worktree",
            f"a fork of session {own.session_id} in the mode {command.mode} has nowhere to put uncommitted work",
            hint="leave --dirty out, or use the default mode",
        )
    if command.mode != "planning_only" and own.worktree_id is None:
        return invalid(
            "no_worktree",
            f"session {own.session_id} has no worktree to fork from",
            hint="use --mode planning_only, or wait until its worktree is there",
        )
    return None
