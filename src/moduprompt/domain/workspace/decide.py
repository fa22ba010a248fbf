"""Which orders about a workspace are taken."""

from typing import assert_never

from moduprompt.domain.decider import Context, Decision, World
from moduprompt.domain.workspace.commands import (
    AdoptWorkspace,
    ArchiveWorkspace,
    CreateWorkspace,
    RenameWorkspace,
    WorkspaceCommand,
)
from moduprompt.domain.workspace.events import (
    WorkspaceAdopted,
    WorkspaceArchived,
    WorkspaceCreated,
    WorkspaceRenamed,
)
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.protocol import SYSTEM_WORKSPACE, Rejection, UserId, WorkspaceId, invalid


def decide(command: WorkspaceCommand, own: WorkspaceState | None, world: World, context: Context) -> Decision:
    """Facts, or why not."""
    if isinstance(command, CreateWorkspace):
        return _create(command, world, context)
    assert own is not None, "BUG: the kernel refuses orders to what does not exist"
    if own.workspace_id == SYSTEM_WORKSPACE:
        return invalid(
            "system_workspace",
            "the system workspace belongs to the daemon and stays as it is",
            hint="mpctl workspace list shows those of people",
        )
    match command:
        case RenameWorkspace():
            if command.name == own.name:
                return []
            return [WorkspaceRenamed(workspace_id=own.workspace_id, name=command.name)]
        case ArchiveWorkspace():
            if own.status == "archived":
                return []
            return [WorkspaceArchived(workspace_id=own.workspace_id)]
        case AdoptWorkspace():
            return _adopt(own, context)
        case _:
            assert_never(command)


def _create(command: CreateWorkspace, world: World, context: Context) -> Decision:
    if world.workspace_id != SYSTEM_WORKSPACE:
        return invalid(
            "wrong_home",
            f"workspace.create is judged in the system workspace, not in {world.workspace_id}",
            hint=f"send it with workspace_id {SYSTEM_WORKSPACE}",
        )
    refused = _owned_by_users(context)
    if refused is not None:
        return refused
    return [
        WorkspaceCreated(
            workspace_id=context.mint(WorkspaceId), name=command.name, owner_id=UserId(context.actor.id)
        )
    ]


def _adopt(own: WorkspaceState, context: Context) -> Decision:
    if not context.is_frozen:
        return []
    refused = _owned_by_users(context)
    if refused is not None:
        return refused
    return [WorkspaceAdopted(workspace_id=own.workspace_id, owner_id=UserId(context.actor.id))]


def _owned_by_users(context: Context) -> Rejection | None:
    if context.actor.kind == "user":
        return None
    return invalid(
        "owner_is_no_user",
        f"a workspace belongs to a user, not to a {context.actor.kind}",
        hint="a person does it: mpctl workspace create, or adopt",
    )
