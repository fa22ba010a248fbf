"""A run that a rate limit ended: its session waits until the window opens, and goes on by itself.

What the service said decides when: its `retry-after`, and a little on top, so that fifty that wait for the same
window don't come back at one moment. Where it said nothing, or where it was wrong once already, the wait grows
with every time in a row, from half a minute to an hour. The due time is drawn once and stands in the event.

Only a program that has ended is parked. One that tries again by itself is left alone. One whose turn has failed for
good for this reason, while its process stays, is stopped first: to wait it needs no memory. Where somebody wants the run
to end nothing is parked, whatever ended it first: that it goes on is what they don't want.
"""

from typing import Final

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.draws import mixed
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.events import RunExited, RunStatusObserved, RunStopRequested
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.budgets import spent_out
from moduprompt.domain.session.events import SessionParked
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import SECOND, Micros, to_timestamp

PARKING: Final = frozenset({FailureClass.RATE_LIMITED, FailureClass.QUOTA_EXHAUSTED})
PARKS_MAX: Final = 60  # in a row with nothing done: two days at the longest wait; then a person must look
FIRST_S: Final = 30  # services count by the minute
LONGEST_S: Final = 3_600  # a window of hours is found open an hour late at the most
SAID_S_MAX: Final = 7 * 24 * 3_600  # no window is longer than a week; what says more is wrong
SPREAD: Final = 10  # a tenth of the wait, drawn, on top


def is_parked_by(event: RunExited, run: RunState, world: World) -> bool:
    """Whether this end parks its session: the same answer for everyone who asks within the decision."""
    session = world.find(SessionState, run.session_id)
    return (
        session is not None
        and event.failure in PARKING
        and session.status == "open"
        and not run.is_stopped_by_somebody()
        and _parks(run, session, world) <= PARKS_MAX
        and spent_out(session, world) is None
    )


def park(event: RunExited, world: World, context: Context) -> list[Event]:
    """The session waits, until then."""
    run = world.find(RunState, event.run_id)
    session = world.find(SessionState, run.session_id) if run else None
    if run is None or session is None or event.failure is None or not is_parked_by(event, run, world):
        return []
    parks = _parks(run, session, world)
    wait = _wait_us(_said_s(run, event.failure), parks=parks, seed=context.seed)
    return [
        SessionParked(
            session_id=session.session_id,
            run_id=run.run_id,
            failure=event.failure,
            due_at=to_timestamp(Micros(context.now + wait)),
            parks=parks,
        )
    ]


def stop_for_good(event: RunStatusObserved, world: World) -> list[Event]:
    """A turn that the limit has ended for good, of a program that would wait for another: it is ended."""
    run = world.find(RunState, event.run_id)
    if event.status != "waiting_input" or run is None or run.is_in_turn or run.stop_requested:
        return []
    failure = run.turn_failure
    if failure is None or failure not in PARKING or not run.is_live():
        return []
    reason = f"its turn was ended by the service: {failure.value}; it is parked"
    return [RunStopRequested(run_id=run.run_id, reason=reason, failure=failure)]


def _parks(run: RunState, session: SessionState, world: World) -> int:
    """The how manieth time in a row. Who got an answer in between, or ended otherwise, begins to count anew."""
    before = (each for each in world.related(RunState, session.session_id) if each.ordinal == run.ordinal - 1)
    if run.usage.output_tokens or session.parked_last not in {each.run_id for each in before}:
        return 1
    return session.parks + 1


def _said_s(run: RunState, failure: FailureClass) -> int | None:
    trouble = run.trouble
    if trouble is None or trouble.failure is not failure or trouble.retry_after_s is None:
        return None
    return min(trouble.retry_after_s, SAID_S_MAX)


def _wait_us(said_s: int | None, *, parks: int, seed: int) -> int:
    grown = parks - 1 if said_s is not None else parks
    own_s = min(LONGEST_S, FIRST_S * 2 ** (grown - 1)) if grown else 0
    wait = max(1, said_s or 0, own_s) * SECOND
    return wait + mixed(seed) % (wait // SPREAD + 1)
