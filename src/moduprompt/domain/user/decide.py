"""Which orders about users are taken."""

from moduprompt.domain.decider import Context, Decision, World
from moduprompt.domain.user.commands import UserCommand
from moduprompt.domain.user.events import UserCreated
from moduprompt.domain.user.state import UserState
from moduprompt.protocol import SYSTEM_WORKSPACE, UserId, invalid


def decide(
    command: UserCommand,
    _own: UserState | None,
    world: World,
    context: Context,
) -> Decision:
    """Facts, or why not."""
    if world.workspace_id != SYSTEM_WORKSPACE:
        return invalid(
            "wrong_home",
            f"users live in the system workspace, not in {world.workspace_id}",
            hint=f"send it with workspace_id {SYSTEM_WORKSPACE}",
        )
    return [UserCreated(user_id=context.mint(UserId), name=command.name)]
