"""Users: made by the kernel, in the system workspace."""

from __future__ import annotations

from moduprompt.domain.user.commands import CreateUser
from moduprompt.domain.user.events import UserCreated
from moduprompt.protocol import SYSTEM_WORKSPACE, UserId
from tests.support.domain import KERNEL, WORKSPACE, Scene


def test_a_user_is_made_in_the_system_workspace() -> None:
    outcome = Scene(SYSTEM_WORKSPACE).when(CreateUser(workspace_id=SYSTEM_WORKSPACE, name="me"), actor=KERNEL)
    outcome.then(UserCreated(user_id=UserId(outcome.subject()), name="me"))


def test_a_user_is_made_nowhere_else() -> None:
    Scene().when(CreateUser(workspace_id=WORKSPACE, name="me"), actor=KERNEL).refused("wrong_home")
