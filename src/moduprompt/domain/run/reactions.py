"""What follows for runs from facts about sessions, and from a run's end for its worktree."""

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.run.decide import begin_run, live_run
from moduprompt.domain.run.events import (
    RunExited,
    RunLost,
    RunStatusObserved,
    RunStopRequested,
)
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.events import (
    PromptSubmitted,
    SessionClosed,
    SessionForked,
    SessionSpawned,
    SessionWorktreeAttached,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.worktree.events import WriterReleased
from moduprompt.domain.worktree.state import WorktreeState


def react(event: Event, world: World, context: Context) -> list[Event]:
    """The first run starts when its place is there; the writer's lease ends with the run."""
    match event:
        case SessionWorktreeAttached():
            return _begin(event.session_id, world, context)
        case SessionSpawned() | SessionForked():
            return _begin(event.session_id, world, context) if event.place == "none" else []
        case SessionClosed():
            live = live_run(event.session_id, world)
            if live is None or live.stop_requested:
                return []
            return [RunStopRequested(run_id=live.run_id, reason="session closed")]
        case PromptSubmitted():
            return _answered(event, world)
        case RunExited() | RunLost():
            return _release(event, world)
        case _:
            return []


def _begin(session_id: str, world: World, context: Context) -> list[Event]:
    session = world.find(SessionState, session_id)
    if session is None or session.status == "closed" or live_run(session_id, world) is not None:
        return []
    return begin_run(session, world, context)


def _answered(event: PromptSubmitted, world: World) -> list[Event]:
    live = live_run(event.session_id, world)
    if live is None or live.observed != "waiting_input":
        return []
    return [
        RunStatusObserved(
            run_id=live.run_id,
            status="working",
            rule="prompt_submitted",
            rule_version=1,
            evidence=f"prompt {event.prompt_id} was typed",
        )
    ]


def _release(event: RunExited | RunLost, world: World) -> list[Event]:
    run = world.find(RunState, event.run_id)
    tree = world.find(WorktreeState, run.worktree_id) if run and run.worktree_id else None
    if run is None or tree is None or tree.writer != run.session_id:
        return []
    return [WriterReleased(worktree_id=tree.worktree_id, fence=tree.fence)]
