"""Facts about users."""

from typing import ClassVar, TypeAlias

from moduprompt.domain.decider import Event
from moduprompt.protocol import Id, Name, UserId


class UserCreated(Event, frozen=True, kw_only=True):
    """The user exists."""

    wire: ClassVar[str] = "user.created"
    kind: ClassVar[str] = "user"
    key: ClassVar[str] = "user_id"

    user_id: Id[UserId]
    name: Name


UserFact: TypeAlias = UserCreated
