"""A sentence for every event: what happened, as a person would say it.

The subject's name stands before the sentence, so it begins with the verb. Every event
type has its sentence here; forgetting one is a type error.
"""

from typing import assert_never

from moduprompt.cli.live.names import Names
from moduprompt.cli.live.text import plain, without_ids
from moduprompt.domain.approval.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalDenied,
    ApprovalFact,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalRevoked,
    ApprovalSpent,
    ApprovalWithdrawn,
)
from moduprompt.domain.artifact.events import ArtifactErased
from moduprompt.domain.capsule.events import CapsuleUpdated
from moduprompt.domain.gate.events import GateBlocked, GateFact
from moduprompt.domain.project.events import (
    ProjectArchived,
    ProjectCreated,
    ProjectFact,
    ProjectRenamed,
    RepositoryAttached,
    RepositoryDetached,
)
from moduprompt.domain.user.events import UserFact
from moduprompt.domain.workspace.events import (
    WorkspaceAdopted,
    WorkspaceArchived,
    WorkspaceCreated,
    WorkspaceFact,
    WorkspaceRenamed,
)
from moduprompt.domain.worktree.events import (
    CommitRequested,
    DeleteRequested,
    MergeRequested,
    SettleRequested,
    WorktreeCommitted,
    WorktreeCreated,
    WorktreeDeleted,
    WorktreeFact,
    WorktreeFailed,
    WorktreeMerged,
    WorktreeRequested,
    WorktreeSalvaged,
    WorktreeSettled,
    WriterLocked,
    WriterReleased,
)
from moduprompt.views.board_rows import short

HASH_CHARS = 10  # what git shows of a hash in a project of this size, with room to grow


def workspace_sentence(event: WorkspaceFact) -> str:
    """What happened to a workspace."""
    match event:
        case WorkspaceCreated():
            return "is open for work"
        case WorkspaceRenamed():
            return f"is now called {plain(event.name)}"
        case WorkspaceArchived():
            return "takes no further work"
        case WorkspaceAdopted():
            return "goes on here; what ran elsewhere is lost"
        case _:
            assert_never(event)


def user_sentence(event: UserFact) -> str:
    """What happened to a user."""
    return f"{plain(event.name)} is a user now"


def artifact_sentence(event: ArtifactErased) -> str:
    """What happened to an artifact."""
    what = "text" if event.run_id is None else f"recording of run {short(event.run_id)}"
    return f"is erased, a {what}: {plain(event.reason)}"


def capsule_sentence(event: CapsuleUpdated) -> str:
    """What a session says of itself now."""
    return f"holds the {event.capsule_kind} of session {short(event.session_id)} now, {event.text.chars} characters"


def project_sentence(event: ProjectFact) -> str:
    """What happened to a project."""
    match event:
        case ProjectCreated():
            return "begins"
        case RepositoryAttached():
            return f"works on {plain(event.path)}, branch {plain(event.branch)} at {event.head[:HASH_CHARS]}"
        case RepositoryDetached():
            return f"lets go of repository {short(event.repository_id)}"
        case ProjectRenamed():
            return f"is now called {plain(event.name)}"
        case ProjectArchived():
            return "takes no further work"
        case _:
            assert_never(event)


def worktree_sentence(event: WorktreeFact, names: Names) -> str:
    """What happened to a worktree."""
    match event:
        case WorktreeRequested():
            return f"shall be made from {plain(event.base)}" + _for(event.session_id, names)
        case WorktreeCreated():
            return f"is there, at {event.head[:HASH_CHARS]}"
        case WriterLocked():
            return f"is written by {names.of(event.session_id)} from now on"
        case WriterReleased():
            return "is free for another writer"
        case CommitRequested():
            return f"shall be committed: {plain(event.message)}"
        case WorktreeCommitted():
            return _committed(event)
        case SettleRequested():
            return "shall be brought to its branch"
        case WorktreeSettled():
            return f"and its branch stand at {event.head[:HASH_CHARS]}"
        case MergeRequested():
            return f"shall be merged into {plain(event.into)}"
        case WorktreeMerged():
            return _merged(event)
        case DeleteRequested():
            return "shall be removed"
        case WorktreeSalvaged():
            return f"has its unsaved work kept as {plain(event.ref)}"
        case WorktreeDeleted():
            return "is removed"
        case WorktreeFailed():
            return f"could not {plain(event.operation)}, {event.failure.value}: {without_ids(event.reason)}"
        case _:
            assert_never(event)


def gate_sentence(event: GateFact) -> str:
    """What happened to a gate."""
    if not isinstance(event, GateBlocked):
        return f"opens: {plain(event.evidence)}"
    if event.gate_kind != "manual_approval":
        return f"is closed until {event.gate_kind} opens it"
    needed = event.approvals_needed
    return f"is closed until {needed} {'person says' if needed == 1 else 'people say'} yes"


def approval_sentence(event: ApprovalFact) -> str:
    """What happened to an approval."""
    match event:
        case ApprovalRequested():
            return "is asked for" + _because(event.reason)
        case ApprovalGranted():
            return "is granted" + _because(event.reason)
        case ApprovalDenied():
            return "is denied" + _because(event.reason)
        case ApprovalRevoked():
            return "is taken back" + _because(event.reason)
        case ApprovalAsked():
            return f"is asked for: {plain(event.tool)}"
        case ApprovalWithdrawn():
            return "is not wanted any more" + _because(event.reason)
        case ApprovalSpent():
            return "counts no more" + _because(event.reason)
        case ApprovalAnswered():
            told = "its program has been told" if event.how == "given" else "its program was not told"
            return told + _because(event.evidence)
        case _:
            assert_never(event)


def _committed(event: WorktreeCommitted) -> str:
    made, files = len(event.commits), event.files_changed
    if not made:
        return "had nothing to commit"
    commits = "1 commit" if made == 1 else f"{made} commits"
    return f"has {commits} more, {files} file{'' if files == 1 else 's'} changed, now at {event.head[:HASH_CHARS]}"


def _merged(event: WorktreeMerged) -> str:
    if event.brought_nothing:
        return f"had nothing to merge: {plain(event.into)} has all of it"
    return f"is merged into {plain(event.into)} as {event.commit[:HASH_CHARS]}"


def _for(session_id: str | None, names: Names) -> str:
    return "" if session_id is None else f" for {names.of(session_id)}"


def _because(reason: str | None) -> str:
    return f": {without_ids(reason)}" if reason else ""
