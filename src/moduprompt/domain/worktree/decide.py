"""Which orders about a worktree are taken."""

from typing import assert_never

from moduprompt.domain.decider import Context, Decision, Event, World
from moduprompt.domain.project.decide import takes_no_work
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.session.closed import closed
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.worktree.commands import (
    AcquireWriter,
    CommitWorktree,
    CreateWorktree,
    DeleteWorktree,
    MergeWorktree,
    ReleaseWriter,
    ReportCommitted,
    ReportCreated,
    ReportDeleted,
    ReportFailed,
    ReportMerged,
    ReportSettled,
    WorktreeCommand,
)
from moduprompt.domain.worktree.events import (
    CommitRequested,
    DeleteRequested,
    MergeRequested,
    WorktreeCommitted,
    WorktreeCreated,
    WorktreeDeleted,
    WorktreeFailed,
    WorktreeMerged,
    WorktreeRequested,
    WorktreeSalvaged,
    WorktreeSettled,
)
from moduprompt.domain.worktree.sharing import give_back, locked_for, take_lease
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import Rejection, WorktreeId, invalid, missing


def decide(command: WorktreeCommand, own: WorktreeState | None, world: World, context: Context) -> Decision:
    """Facts, or why not."""
    if isinstance(command, CreateWorktree):
        return _create(command, world, context)
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    match command:
        case AcquireWriter():
            return _acquire(command, own, world)
        case ReleaseWriter():
            return _release(command, own)
        case CommitWorktree():
            return _commit(command, own)
        case MergeWorktree():
            return _merge(own, world)
        case DeleteWorktree():
            return _delete(own)
        case (
            ReportCreated()
            | ReportCommitted()
            | ReportSettled()
            | ReportMerged()
            | ReportDeleted()
            | ReportFailed()
        ):
            return _report(command, own)
        case _:
            assert_never(command)


def merge_request(own: WorktreeState, into: str) -> MergeRequested:
    """The next merge of this worktree's branch."""
    return MergeRequested(worktree_id=own.worktree_id, generation=own.merge_generation + 1, into=into)


def merge_target(own: WorktreeState, world: World) -> str | None:
    """The branch its project keeps in the same repository; None where that was detached."""
    project = world.find(ProjectState, own.project_id)
    repository = project.repository_at(own.repository) if project else None
    return repository.branch if repository else None


def _create(command: CreateWorktree, world: World, context: Context) -> Decision:
    project = world.find(ProjectState, command.project_id)
    if project is None:
        return missing("project", command.project_id)
    refused = takes_no_work(project, world)
    if refused is not None:
        return refused
    main = project.main_repository()
    if main is None:
        return invalid(
            "no_repository",
            f"project {project.project_id} has no repository to make a worktree from",
            hint=f"mpctl project attach {project.project_id} PATH",
        )
    return [
        WorktreeRequested(
            worktree_id=context.mint(WorktreeId),
            project_id=project.project_id,
            repository=main.path,
            branch=command.branch,
            base=command.base or main.branch,
        )
    ]


def _not_ready(own: WorktreeState) -> Rejection | None:
    if own.status == "ready":
        return None
    return invalid(
        "worktree_not_ready",
        f"worktree {own.worktree_id} is {own.status}",
        hint=f"mpctl worktree show {own.worktree_id}",
        status=own.status,
    )


def _acquire(command: AcquireWriter, own: WorktreeState, world: World) -> Decision:
    session = world.find(SessionState, command.session_id)
    if session is None:
        return missing("session", command.session_id)
    if own.writer == command.session_id:
        return []
    refused = _not_ready(own) or _unfit_writer(session, own) or locked_for(own, session.session_id, world)
    if refused is not None:
        return refused
    return take_lease(own, session.session_id)


def _unfit_writer(session: SessionState, own: WorktreeState) -> Rejection | None:
    if session.status == "closed":
        return closed(session, "writes nothing")
    if session.project_id != own.project_id:
        return invalid(
            "other_project",
            f"session {session.session_id} belongs to project {session.project_id}",
            hint=f"take a session of project {own.project_id}: mpctl session list",
        )
    return None


def _release(command: ReleaseWriter, own: WorktreeState) -> Decision:
    if own.writer is None:
        return []
    if command.fence != own.fence:
        return invalid(
            "stale_fence",
            f"the lease of worktree {own.worktree_id} has fence {own.fence}, not {command.fence}",
            hint=f"mpctl worktree show {own.worktree_id} says who writes there now",
            fence=own.fence,
        )
    return give_back(own)


def _commit(command: CommitWorktree, own: WorktreeState) -> Decision:
    refused = _not_ready(own)
    if refused is not None:
        return refused
    if own.commit_message is not None:
        return invalid(
            "commit_under_way",
            f"worktree {own.worktree_id} is being committed already",
            hint="try again when it is done",
        )
    return [
        CommitRequested(
            worktree_id=own.worktree_id, generation=own.commit_generation + 1, message=command.message
        )
    ]


def _merge(own: WorktreeState, world: World) -> Decision:
    refused = _not_ready(own)
    if refused is not None:
        return refused
    if own.merge_into is not None:
        return []
    into = merge_target(own, world)
    if into is None:
        return invalid(
            "no_repository",
            f"repository {own.repository} of worktree {own.worktree_id} belongs to its project no more",
            hint=f"mpctl project attach {own.project_id} {own.repository}",
        )
    return [merge_request(own, into)]


def _delete(own: WorktreeState) -> Decision:
    if own.status in ("deleting", "deleted"):
        return []
    refused = _not_ready(own)
    if refused is not None:
        return refused
    if own.writer is not None:
        return invalid(
            "writer_locked",
            f"worktree {own.worktree_id} is being written by session {own.writer}",
            hint=f"mpctl session close {own.writer}, or wait until its run has ended",
            writer=own.writer,
        )
    busy = _under_way(own)
    if busy is not None:
        return invalid(
            f"{busy}_under_way",
            f"worktree {own.worktree_id} has a {busy} under way",
            hint="try again when it is done",
        )
    return [DeleteRequested(worktree_id=own.worktree_id)]


def _under_way(own: WorktreeState) -> str | None:
    if own.commit_message is not None:
        return "commit"
    if own.is_settling:
        return "settling"
    return "merge" if own.merge_into is not None else None


def _report(
    command: ReportCreated | ReportCommitted | ReportSettled | ReportMerged | ReportDeleted | ReportFailed,
    own: WorktreeState,
) -> Decision:
    id_ = own.worktree_id
    match command:
        case ReportCreated():
            if own.status != "requested":
                return []
            return [WorktreeCreated(worktree_id=id_, path=command.path, head=command.head)]
        case ReportCommitted():
            return _committed(command, own)
        case ReportSettled():
            if not own.is_settling or command.generation != own.settle_generation:
                return []
            return [WorktreeSettled(worktree_id=id_, generation=command.generation, head=command.head)]
        case ReportMerged():
            if own.merge_into is None or command.generation != own.merge_generation:
                return []
            return [
                WorktreeMerged(
                    worktree_id=id_,
                    generation=command.generation,
                    commit=command.commit,
                    into=command.into,
                    brought_nothing=command.brought_nothing,
                )
            ]
        case ReportDeleted():
            if own.status != "deleting":
                return []
            gone: list[Event] = [WorktreeDeleted(worktree_id=id_)]
            if command.salvage_ref is None:
                return gone
            return [WorktreeSalvaged(worktree_id=id_, ref=command.salvage_ref), *gone]
        case ReportFailed():
            return _failed(command, own)
        case _:
            assert_never(command)


def _committed(command: ReportCommitted, own: WorktreeState) -> Decision:
    if own.commit_message is None or command.generation != own.commit_generation:
        return []
    return [
        WorktreeCommitted(
            worktree_id=own.worktree_id,
            generation=command.generation,
            head=command.head,
            commits=command.commits,
            files_changed=command.files_changed,
        )
    ]


def _failed(command: ReportFailed, own: WorktreeState) -> Decision:
    under_way = {
        "create": own.status == "requested",
        "commit": own.commit_message is not None and command.generation in (None, own.commit_generation),
        "settle": own.is_settling and command.generation in (None, own.settle_generation),
        "merge": own.merge_into is not None and command.generation in (None, own.merge_generation),
        "delete": own.status == "deleting",
    }
    if not under_way[command.operation]:
        return []
    return [
        WorktreeFailed(
            worktree_id=own.worktree_id,
            operation=command.operation,
            failure=command.failure,
            reason=command.reason,
        )
    ]
