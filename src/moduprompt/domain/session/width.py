"""How many open sessions stand beside each other: below one parent, or as alternatives of one root.

Depth alone bounds nothing: a session that spawns in a loop, or an alternative that forks itself and whose alternative
does the same, grows in width. What is closed doesn't count, so that a long life is no fault.
"""

from collections.abc import Iterator

from moduprompt.domain.decider import World
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import Rejection, SessionId, invalid

WIDTH_MAX = 64  # three times what one machine runs well at once; more is a loop that starts agents


def too_wide_below(parent: SessionState, world: World) -> Rejection | None:
    """Why nothing more may be spawned below this session."""
    below = sum(each.parent_session_id == parent.session_id for each in _open(world))
    if below < WIDTH_MAX:
        return None
    return _refused(f"session {parent.session_id} has {below} open sessions right below it")


def too_wide_beside(own: SessionState, world: World) -> Rejection | None:
    """Why no alternative to this session may begin: it would stand beside it."""
    if own.parent_session_id is not None:
        parent = world.find(SessionState, own.parent_session_id)
        return too_wide_below(parent, world) if parent is not None else None
    first = _first(own, world)
    # Each alternative of a root is a root; however they came from each other, they are beside the same one.
    beside = sum(
        each.fork_of is not None and _first(each, world) == first
        for each in _open(world)
        if each.parent_session_id is None
    )
    if beside < WIDTH_MAX:
        return None
    return _refused(f"session {first} has {beside} open alternatives")


def _open(world: World) -> Iterator[SessionState]:
    return (each for each in world.every(SessionState) if each.status == "open")


def _first(own: SessionState, world: World) -> SessionId:
    """What it and all that it was forked from began with."""
    source = world.find(SessionState, own.fork_of) if own.fork_of is not None else None
    while source is not None:
        own = source
        source = world.find(SessionState, own.fork_of) if own.fork_of is not None else None
    return own.session_id


def _refused(what: str) -> Rejection:
    return invalid(
        "lineage_too_wide",
        f"{what}; at most {WIDTH_MAX} stand beside each other",
        hint="mpctl session tree shows them; mpctl session close makes room",
    )
