"""When what repeats is too much: the fact that says so, with its evidence, and the end of the run."""

from moduprompt.domain.decider import Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.events import (
    RunNoProgressObserved,
    RunStopRequested,
    RunToolEnded,
    RunTroubleObserved,
)
from moduprompt.domain.run.parking import PARKING
from moduprompt.domain.run.progress import SAME_CALL_MAX, SAME_TREE_MAX, SAME_TROUBLE_MAX
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.state import SessionState


def notice(event: RunToolEnded | RunTroubleObserved, world: World) -> list[Event]:
    """Said once, at the bound itself; the run of a session that may go round for ever is left alone."""
    run = world.find(RunState, event.run_id)
    session = world.find(SessionState, run.session_id) if run else None
    if run is None or session is None or session.patience == "endless" or run.stop_requested:
        return []
    if isinstance(event, RunTroubleObserved):
        return _same_trouble(run)
    return _same_call(run) if event.how != "done" else _same_tree(run, event)


def _same_call(run: RunState) -> list[Event]:
    call, times = run.progress.failing, run.progress.same_call
    if call is None or times != SAME_CALL_MAX:
        return []
    seen = RunNoProgressObserved(
        run_id=run.run_id,
        rule="same_call",
        what=call.tool,
        times=times,
        arguments_digest=call.arguments_digest,
    )
    reason = f"no progress: the same call of {call.tool} has failed {times} times in a row"
    return [seen, RunStopRequested(run_id=run.run_id, reason=reason, failure=FailureClass.NO_PROGRESS)]


def _same_tree(run: RunState, event: RunToolEnded) -> list[Event]:
    call, times = run.progress.round.last, run.progress.round.times
    if call is None or times < SAME_TREE_MAX or event.tree is None or call.call_id != event.call_id:
        return []
    seen = RunNoProgressObserved(
        run_id=run.run_id,
        rule="same_tree",
        what=call.tool,
        times=times,
        arguments_digest=call.arguments_digest,
        tree=event.tree,
    )
    reason = f"no progress: {times} calls in a row, the last of {call.tool}, led only where the worktree had stood before"
    return [seen, RunStopRequested(run_id=run.run_id, reason=reason, failure=FailureClass.NO_PROGRESS)]


def _same_trouble(run: RunState) -> list[Event]:
    trouble, times = run.progress.trouble, run.progress.same_trouble
    if trouble is None or times != SAME_TROUBLE_MAX:
        return []
    seen = RunNoProgressObserved(run_id=run.run_id, rule="same_trouble", what=trouble.value, times=times)
    # Who is held by a limit waits better parked than by asking again and again.
    failure = trouble if trouble in PARKING else FailureClass.NO_PROGRESS
    reason = f"no progress: {trouble.value} {times} times in a row, with nothing done in between"
    return [seen, RunStopRequested(run_id=run.run_id, reason=reason, failure=failure)]
