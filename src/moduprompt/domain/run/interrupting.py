"""What a fact about a run says of the interrupt that is on its way there: seen, missed, or nobody can say."""

from typing import Final, TypeAlias, assert_never

from moduprompt.domain.decider import Event, World
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportExited
from moduprompt.domain.run.events import RunExited, RunLost, RunStatusObserved, RunTurnEnded
from moduprompt.domain.run.intents import TAKES_TEXT
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.interrupting import interrupted, not_taken, uncertain
from moduprompt.domain.session.state import Interrupt, SessionState

SIGINT: Final = 2
BY_SIGINT: Final = 128 + SIGINT  # the code with which a program says that it has ended so
INTERRUPTED: Final = "interrupted"  # the rule by which a run has failed that ended by an interrupt
# How a program fails that left and said nothing of its turn.
WITHOUT_A_WORD: Final = frozenset(
    {FailureClass.INVALID_OUTPUT, FailureClass.EXIT_NONZERO, FailureClass.SIGNALLED}
)
NOT_NEEDED: Final = "its turn was over before anything was sent"

Settling: TypeAlias = RunTurnEnded | RunStatusObserved | RunExited | RunLost


def settled_by(event: Settling, world: World) -> list[Event]:
    """What a fact about a run says of the interrupt that is on its way there."""
    run = world.find(RunState, event.run_id)
    session = world.find(SessionState, run.session_id) if run else None
    interrupt = session.interrupt if session else None
    if session is None or interrupt is None or interrupt.run_id != event.run_id:
        return []
    match event:
        case RunTurnEnded():
            return _by_turn(event, session, interrupt)
        case RunStatusObserved():
            # Of programs that have a screen. What others say of their turns settles it, once and in their words.
            return [] if run is None or run.said_upto > 0 else _by_sight(event, session, interrupt)
        case RunExited() | RunLost():
            return _by_end(event, session, interrupt)
        case _:
            assert_never(event)


def _by_turn(event: RunTurnEnded, own: SessionState, interrupt: Interrupt) -> list[Event]:
    if interrupt.turn is not None and event.turn > interrupt.turn and event.how != "interrupted":
        return []  # a later one, told in the same breath: what became of the interrupt was seen before
    evidence = f"turn {event.turn} ended: {event.how}"
    if interrupt.stage == "requested":
        return [not_taken(own, interrupt, NOT_NEEDED)]
    if event.how == "interrupted":
        return [interrupted(own, interrupt, rule="said_turn_end", evidence=evidence)]
    if interrupt.stage == "placed":
        return []  # it may still go in: until that is known, no prompt may follow
    if event.how == "failed":
        return [uncertain(own, interrupt, f"after it was sent, {evidence}")]
    return [not_taken(own, interrupt, f"its turn ended by itself: {evidence}")]


def _by_sight(event: RunStatusObserved, own: SessionState, interrupt: Interrupt) -> list[Event]:
    """Whoever waits for the next prompt is in no turn any more."""
    if event.status not in TAKES_TEXT or interrupt.stage == "placed":
        return []
    if interrupt.stage == "requested":
        return [not_taken(own, interrupt, NOT_NEEDED)]
    return [interrupted(own, interrupt, rule=event.rule, evidence=event.evidence)]


def ends_by_interrupt(command: ReportExited, own: RunState, world: World) -> bool:
    """Whether an interrupt was sent of which nothing was seen yet, and its program has left without a result."""
    session = world.find(SessionState, own.session_id)
    interrupt = session.interrupt if session else None
    return (
        interrupt is not None
        and interrupt.run_id == own.run_id
        and interrupt.stage == "sent"
        and command.failure in WITHOUT_A_WORD
        and command.signal in (None, SIGINT)
    )


def _by_end(event: RunExited | RunLost, own: SessionState, interrupt: Interrupt) -> list[Event]:
    """A program that ends by Ctrl-C has ended its turn."""
    if interrupt.stage == "requested":
        return [not_taken(own, interrupt, f"run {event.run_id} ended before anything was sent")]
    if isinstance(event, RunExited) and (
        event.signal == SIGINT or event.code == BY_SIGINT or event.rule == INTERRUPTED
    ):
        evidence = f"its program ended by it: {_end_of(event)}"
        return [interrupted(own, interrupt, rule="run_exited", evidence=evidence)]
    how = _end_of(event) if isinstance(event, RunExited) else f"lost: {event.evidence}"
    return [uncertain(own, interrupt, f"run {event.run_id} ended around it: {how}")]


def _end_of(event: RunExited) -> str:
    if event.signal is not None:
        return f"{event.how} by signal {event.signal}"
    return event.how if event.code is None else f"{event.how} with {event.code}"
