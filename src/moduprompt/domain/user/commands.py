"""Orders about users; they live in the system workspace."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Command
from moduprompt.protocol import Name


class CreateUser(Command, frozen=True, kw_only=True):
    """Make a user. The kernel sends it once, for the owner of this machine's daemon."""

    wire: ClassVar[str] = "user.create"
    kind: ClassVar[str] = "user"
    internal: ClassVar[bool] = True

    name: Name


UserCommand: TypeAlias = CreateUser
