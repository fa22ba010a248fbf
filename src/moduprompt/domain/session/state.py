"""A session's state, and that of the prompts waiting in it.

session:  (none) ── spawned | forked ──→ open ── closed ──→ closed
prompt:   accepted ── placed ──→ placed
              │                    │
              └────────────────────┴── submitted | uncertain ──→ (done)

A prompt whose keys may have been typed when the run ended is uncertain: it is never
typed again by itself. One that was never placed waits for the next run.
"""

from typing import Literal, TypeAlias, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import State
from moduprompt.domain.session.commands import Agent, Place
from moduprompt.domain.session.events import (
    PromptAccepted,
    PromptPlaced,
    PromptSubmitted,
    PromptUncertain,
    SessionClosed,
    SessionFact,
    SessionForked,
    SessionRenamed,
    SessionSpawned,
    SessionWorktreeAttached,
    SessionWorktreeDetached,
)
from moduprompt.policy.rights import Right
from moduprompt.protocol import ProjectId, PromptId, SessionId, TaskId, TextRef, WorktreeId

SessionStatus: TypeAlias = Literal["open", "closed"]


class Prompt(State, frozen=True, kw_only=True):
    """A prompt on its way into the terminal."""

    prompt_id: PromptId
    text: TextRef
    is_placed: bool = False


class SessionState(State, frozen=True, kw_only=True):
    """What decisions need of a session. `prompts` holds those still on their way, in order."""

    session_id: SessionId
    project_id: ProjectId
    name: str
    agent: Agent
    may: tuple[Right, ...]
    root_session_id: SessionId
    path: tuple[SessionId, ...]
    place: Place
    branch: str | None
    base: str | None
    parent_session_id: SessionId | None
    fork_of: SessionId | None
    prompt: TextRef | None
    task_id: TaskId | None
    worktree_id: WorktreeId | None = None
    prompts: tuple[Prompt, ...] = ()
    status: SessionStatus = "open"

    def is_above(self, other: "SessionState") -> bool:
        """Whether the other one descends from this one."""
        return self.session_id in other.path[:-1]


def evolve(own: SessionState | None, event: SessionFact) -> SessionState:
    """The state after a fact."""
    if isinstance(event, SessionSpawned | SessionForked):
        return _begun(event)
    assert own is not None, "BUG: a session's first event is session.spawned or session.forked"
    match event:
        case SessionWorktreeAttached():
            return replace(own, worktree_id=event.worktree_id)
        case SessionWorktreeDetached():
            return replace(own, worktree_id=None)
        case PromptAccepted():
            waiting = Prompt(prompt_id=event.prompt_id, text=event.prompt)
            return replace(own, prompts=(*own.prompts, waiting))
        case PromptPlaced():
            return replace(own, prompts=_placed(own.prompts, event.prompt_id))
        case PromptSubmitted() | PromptUncertain():
            left = tuple(p for p in own.prompts if p.prompt_id != event.prompt_id)
            return replace(own, prompts=left)
        case SessionRenamed():
            return replace(own, name=event.name)
        case SessionClosed():
            return replace(own, status="closed")
        case _:
            assert_never(event)


def _begun(event: SessionSpawned | SessionForked) -> SessionState:
    return SessionState(
        session_id=event.session_id,
        project_id=event.project_id,
        name=event.name,
        agent=event.agent,
        may=event.may,
        root_session_id=event.root_session_id,
        path=event.path,
        place=event.place,
        branch=event.branch,
        base=event.base,
        parent_session_id=event.parent_session_id,
        fork_of=event.fork_of if isinstance(event, SessionForked) else None,
        prompt=event.prompt,
        task_id=event.task_id,
    )


def _placed(prompts: tuple[Prompt, ...], prompt_id: PromptId) -> tuple[Prompt, ...]:
    return tuple(replace(p, is_placed=True) if p.prompt_id == prompt_id else p for p in prompts)
