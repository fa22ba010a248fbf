"""A user's state.

(none) ── created ──→ active
"""

from moduprompt.domain.decider import State
from moduprompt.domain.user.events import UserFact
from moduprompt.protocol import UserId


class UserState(State, frozen=True, kw_only=True):
    """What decisions need of a user."""

    user_id: UserId
    name: str


def evolve(_own: UserState | None, event: UserFact) -> UserState:
    """The state after a fact."""
    return UserState(user_id=event.user_id, name=event.name)
