"""What a run needs done by its keeper."""

from itertools import chain
from typing import Final, TypeAlias

from moduprompt.domain.decider import Intent, World
from moduprompt.domain.run.commands import ObservedStatus
from moduprompt.domain.run.conversations import Earlier, earlier
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.events import SessionFact
from moduprompt.domain.session.limits import RunLimits
from moduprompt.domain.session.state import Prompt, SessionState
from moduprompt.domain.worktree.events import WorktreeFailed, WorktreeSettled
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import InterruptId, ProjectId, PromptId, RunId, SessionId, TextRef

TAKES_TEXT: Final[frozenset[ObservedStatus]] = frozenset({"waiting_input", "idle"})
"""What a run is doing when a prompt may be typed. Whoever types looks once more before the first key."""


class RunIntent(Intent, frozen=True, kw_only=True):
    """Something to do for one run."""

    run_id: RunId


class KeepRun(RunIntent, frozen=True, kw_only=True):
    """It has a keeper that is listened to, from before its start until its end is known.

    `prompt` is what its session was told, `run_prompt` what this run alone is told, `earlier` what it carries on.
    `said_upto`: the place in its output up to which the log knows what its program said. `carries_on`: the
    conversation with which it began, chosen before its start and known as long as it lives.
    """

    session_id: SessionId
    project_id: ProjectId
    adapter: str
    argv: tuple[str, ...]
    cwd: str | None
    prompt: TextRef | None
    rows: int
    cols: int
    is_started: bool
    limits: RunLimits | None = None
    is_child: bool = False
    run_prompt: TextRef | None = None
    earlier: Earlier | None = None
    said_upto: int = 0
    carries_on: str | None = None


class EndRun(RunIntent, frozen=True, kw_only=True):
    """It is told to stop."""


class ResizeTerminal(RunIntent, frozen=True, kw_only=True):
    """Its terminal has this size."""

    rows: int
    cols: int


class WatchTurn(RunIntent, frozen=True, kw_only=True):
    """It is looked whether the program has taken the prompt that was typed last.

    `output_bytes`: how much it had printed when the last key was typed.
    """

    session_id: SessionId
    prompt_id: PromptId
    output_bytes: int


class TypePrompt(RunIntent, frozen=True, kw_only=True):
    """A prompt is typed, once."""

    session_id: SessionId
    adapter: str
    argv: tuple[str, ...] = ()
    prompt_id: PromptId
    text: TextRef
    is_placed: bool
    is_steering: bool = False


class InterruptTurn(RunIntent, frozen=True, kw_only=True):
    """The turn that it is in is ended, by what is sent once; the program stays."""

    session_id: SessionId
    adapter: str
    argv: tuple[str, ...] = ()
    interrupt_id: InterruptId
    is_placed: bool


Waking: TypeAlias = SessionFact | WorktreeSettled | WorktreeFailed


def woken_by(event: Waking, world: World) -> tuple[str, ...]:
    """A prompt moves in its session, or its worktree has come to its branch; the run that it concerns wakes."""
    if isinstance(event, WorktreeSettled | WorktreeFailed):
        tree = world.find(WorktreeState, event.worktree_id)
        session_id = tree.writer if tree else None
    else:
        session_id = event.session_id
    live = world.related(RunState, session_id) if session_id else ()
    return tuple(run.run_id for run in live if run.is_live())


def intents(own: RunState, world: World) -> tuple[Intent, ...]:
    """What is wanted and not known to be done. Nothing begins in a worktree that is being brought to its branch."""
    if not own.is_live() or (own.status == "requested" and _is_settling(own, world)):
        return ()
    return (
        _keep(own, world),
        *_stop(own, world),
        *_resize(own, world),
        *_interrupt(own, world),
        *_type(own, world),
        *_watch(own, world),
    )


def _is_settling(own: RunState, world: World) -> bool:
    tree = world.find(WorktreeState, own.worktree_id) if own.worktree_id else None
    return tree is not None and tree.is_settling


def _keep(own: RunState, world: World) -> KeepRun:
    tree = world.find(WorktreeState, own.worktree_id) if own.worktree_id else None
    session = world.find(SessionState, own.session_id)
    return KeepRun(
        name=f"run/{own.run_id}/keep",
        workspace_id=world.workspace_id,
        run_id=own.run_id,
        session_id=own.session_id,
        project_id=own.project_id,
        adapter=own.agent.adapter,
        argv=own.agent.argv,
        cwd=tree.path if tree else None,
        prompt=session.prompt if session else None,
        rows=own.rows,
        cols=own.cols,
        is_started=own.status == "started",
        limits=session.limits if session else None,
        is_child=session is not None and session.parent_session_id is not None,
        run_prompt=own.prompt,
        # Of one that has started nobody asks any more.
        earlier=earlier(own, world) if own.status == "requested" else None,
        said_upto=own.said_upto,
        carries_on=own.conversation_id if own.begun == "carried_on" else None,
    )


def _stop(own: RunState, world: World) -> tuple[Intent, ...]:
    if not own.stop_requested:
        return ()
    return (EndRun(name=f"run/{own.run_id}/stop", workspace_id=world.workspace_id, run_id=own.run_id),)


def _resize(own: RunState, world: World) -> tuple[Intent, ...]:
    if own.status != "started":
        return ()
    return (
        ResizeTerminal(
            name=f"run/{own.run_id}/size/{own.rows}x{own.cols}",
            workspace_id=world.workspace_id,
            run_id=own.run_id,
            rows=own.rows,
            cols=own.cols,
        ),
    )


def _interrupt(own: RunState, world: World) -> tuple[Intent, ...]:
    session = world.find(SessionState, own.session_id)
    interrupt = session.interrupt if session else None
    if session is None or interrupt is None or own.status != "started":
        return ()
    if not _is_interrupting(session, own) or (own.stop_requested and interrupt.stage == "requested"):
        return ()
    return (
        InterruptTurn(
            name=f"run/{own.run_id}/interrupt/{interrupt.interrupt_id}",
            workspace_id=world.workspace_id,
            run_id=own.run_id,
            session_id=own.session_id,
            adapter=own.agent.adapter,
            argv=own.agent.argv,
            interrupt_id=interrupt.interrupt_id,
            is_placed=interrupt.stage == "placed",
        ),
    )


def _is_interrupting(session: SessionState, own: RunState) -> bool:
    """Whether an interrupt is still to be sent to it, or may be: a prompt behind it would begin the turn that it ends."""
    interrupt = session.interrupt
    return interrupt is not None and interrupt.run_id == own.run_id and interrupt.stage != "sent"


def _type(own: RunState, world: World) -> tuple[Intent, ...]:
    session = world.find(SessionState, own.session_id)
    first = _next_of(session, own) if session else None
    if session is None or first is None or own.status != "started":
        return ()
    ends = own.stop_requested or session.status == "closed"
    # What was placed may have been typed: that is found out, whatever else happens.
    if not first.is_placed and (ends or not _is_taken(first, session, own)):
        return ()
    return (
        TypePrompt(
            name=f"run/{own.run_id}/type/{first.prompt_id}",
            workspace_id=world.workspace_id,
            run_id=own.run_id,
            session_id=own.session_id,
            adapter=own.agent.adapter,
            argv=own.agent.argv,
            prompt_id=first.prompt_id,
            text=first.text,
            is_placed=first.is_placed,
            is_steering=first.is_steering,
        ),
    )


def _next_of(session: SessionState, own: RunState) -> Prompt | None:
    """The one at the keyboard, else in a turn the first that steers, else the first."""
    placed = (each for each in session.prompts if each.is_placed)
    steering = (each for each in session.prompts if each.is_steering and own.is_in_turn)
    return next(chain(placed, steering, session.prompts), None)


def _is_taken(prompt: Prompt, session: SessionState, own: RunState) -> bool:
    """Whether its program takes it now: between turns, or in one that it can steer, behind what it was told last."""
    if _is_interrupting(session, own):
        return False
    if own.observed in TAKES_TEXT:
        return True
    last = session.submitted
    is_heard = last is None or last.run_id != own.run_id
    return prompt.is_steering and own.is_in_turn and is_heard and "steer" in (own.can or ())


def _watch(own: RunState, world: World) -> tuple[Intent, ...]:
    session = world.find(SessionState, own.session_id)
    last = session.submitted if session else None
    if session is None or last is None or last.run_id != own.run_id or last.output_bytes is None:
        return ()
    if last.turn is not None:  # that its program reads and prints is no news in a turn that runs
        return ()
    return (
        WatchTurn(
            name=f"run/{own.run_id}/turn/{last.prompt_id}",
            workspace_id=world.workspace_id,
            run_id=own.run_id,
            session_id=own.session_id,
            prompt_id=last.prompt_id,
            output_bytes=last.output_bytes,
        ),
    )
