"""Whose conversation a run carries on, and what it is told where it can't.

A program keeps its conversation in its session's private home, under a name of its own. Whether it can be
carried on is its adapter's to say, and the disk's: the hand that starts a run looks, and reports what it chose
before the program starts. What is decided here is which conversation is meant.
"""

import msgspec

from moduprompt.domain.capsule.commands import CapsuleKind
from moduprompt.domain.capsule.state import CapsuleState
from moduprompt.domain.decider import World
from moduprompt.domain.run.commands import Begun
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import RunId, SessionId, TextRef


class CapsuleText(msgspec.Struct, frozen=True, kw_only=True):
    """What a session says of itself, of one kind."""

    kind: CapsuleKind
    text: TextRef


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation that a run is to carry on, and what is known of it.

    `cwd`: the worktree it was held in; None where it had none. `chosen` is what was reported already: whoever
    starts the run a second time does the same again. `capsules`: what the run is told where it begins fresh;
    `has_heard`: whether what this run alone is told was said in it already.
    """

    run_id: RunId
    session_id: SessionId
    adapter: str
    conversation_id: str | None
    cwd: str | None
    capsules: tuple[CapsuleText, ...]
    chosen: Begun | None = None
    has_heard: bool = False


def conversation_of(session_id: SessionId, world: World) -> RunState | None:
    """The run of a session that held its last conversation; None where it had no run.

    The last one whose name is known; where none is, the last one, since some programs let us choose the name.
    """
    runs = list(world.related(RunState, session_id))
    named = (run for run in reversed(runs) if run.conversation_id is not None)
    begun = (run for run in reversed(runs) if run.pid)
    return next(named, None) or next(begun, None) or (runs[-1] if runs else None)


def conversation_of_original(session: SessionState, world: World) -> RunState | None:
    """What an alternative begins with: what its original has said by now; None for a session that is none."""
    return conversation_of(session.fork_of, world) if session.fork_of else None


def earlier(own: RunState, world: World) -> Earlier | None:
    """What a run is to carry on."""
    source = world.find(RunState, own.resumes) if own.resumes else None
    if source is None:
        return None
    tree = world.find(WorktreeState, source.worktree_id) if source.worktree_id else None
    written = world.related(CapsuleState, source.session_id)
    return Earlier(
        run_id=source.run_id,
        session_id=source.session_id,
        adapter=source.agent.adapter,
        conversation_id=own.conversation_id if own.begun else source.conversation_id,
        cwd=tree.path if tree else None,
        capsules=tuple(CapsuleText(kind=each.capsule_kind, text=each.text) for each in written),
        chosen=own.begun,
        has_heard=own.told_in is not None and own.told_in in (source.run_id, source.told_in),
    )
