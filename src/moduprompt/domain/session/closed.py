"""What is said to who wants something of a session that is closed: it stays so, and a fork goes on from it."""

from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import Rejection, invalid


def closed(session: SessionState, what: str) -> Rejection:
    """The refusal; `what` it does no more, as it follows `is closed and`."""
    return invalid(
        "session_closed",
        f"session {session.session_id} is closed and {what}",
        hint=f"mpctl session fork {session.session_id} NAME goes on from it",
    )
