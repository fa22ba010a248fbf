"""What is done to the turn that a session's program is in: it can be steered, or ended, and the session goes on.

    asked (durable) ── placed (durable) ──► sent, once ── the turn's end is seen ──► interrupted
        │ the turn or the run ends first       │ nobody knows, or it is not seen in time
        └──► not taken                         └──► uncertain

Whether a program can be reached in the middle of a turn is said by its run when it starts (`RunStarted.can`). Between an
interrupt and its sending no other prompt is begun: it would be the one that is interrupted.
"""

from typing import Final, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import Context, Decision, Event, World
from moduprompt.domain.placing import decide as decide_place
from moduprompt.domain.run.decide import live_run
from moduprompt.domain.run.intents import TAKES_TEXT
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.closed import closed
from moduprompt.domain.session.commands import (
    FireInterruptDue,
    InterruptSession,
    PlaceCommand,
    PromptSession,
    ReportInterrupt,
    ReportPrompt,
    SessionCommand,
    TurnCommand,
)
from moduprompt.domain.session.events import (
    InterruptPlaced,
    InterruptRequested,
    InterruptSent,
    PromptPlaced,
)
from moduprompt.domain.session.interrupting import interrupted, not_taken, uncertain
from moduprompt.domain.session.state import Interrupt, SessionState
from moduprompt.protocol import InterruptId, Micros, Rejection, invalid, to_timestamp

SEEN_S_MAX: Final = 30  # programs end a turn within two seconds; a busy machine is given its time


def decide(
    command: SessionCommand | PlaceCommand | TurnCommand,
    own: SessionState | None,
    world: World,
    context: Context,
) -> Decision:
    """Facts, or why not: of every order about a session."""
    match command:
        case InterruptSession() | ReportInterrupt() | FireInterruptDue():
            assert own is not None, "BUG: the kernel refuses orders to what does not exist"
            return _decide_turn(command, own, world=world, context=context)
        case PromptSession() if command.steer and own is not None and own.status == "open":
            return _unsteerable(own, world) or decide_place(command, own, world, context)
        case ReportPrompt() if own is not None:
            decided = decide_place(command, own, world, context)
            return decided if isinstance(decided, Rejection) else _into_turn(decided, own, world)
        case _:
            return decide_place(command, own, world, context)


def _decide_turn(command: TurnCommand, own: SessionState, *, world: World, context: Context) -> Decision:
    match command:
        case InterruptSession():
            return _interrupt(command, own, world=world, context=context)
        case ReportInterrupt():
            return _report(command, own, world=world, now=context.now)
        case FireInterruptDue():
            return _expire(command, own)
        case _:
            assert_never(command)


def _unsteerable(own: SessionState, world: World) -> Rejection | None:
    run = live_run(own.session_id, world)
    if run is None:
        return invalid(
            "cannot_steer",
            f"session {own.session_id} has no live run, so no turn runs",
            hint="without --steer it waits for the next run",
        )
    if run.can is not None and "steer" in run.can:
        return None
    wait = "without --steer it is said when the turn is over"
    ends = run.can is None or "interrupt" in run.can
    return invalid(
        "cannot_steer",
        f"{run.agent.adapter} takes no words for a turn that runs, as run {run.run_id} was started",
        hint=f"{wait}, and mpctl session interrupt {own.session_id} ends it" if ends else wait,
        run_id=run.run_id,
    )


def _into_turn(decided: list[Event], own: SessionState, world: World) -> list[Event]:
    """A prompt that is placed to steer names the turn that runs."""
    run = live_run(own.session_id, world)
    steering = {each.prompt_id for each in own.prompts if each.is_steering}
    if run is None or not run.is_in_turn:
        return decided
    return [
        replace(each, turn=run.turns)
        if isinstance(each, PromptPlaced) and each.prompt_id in steering
        else each
        for each in decided
    ]


def _interrupt(command: InterruptSession, own: SessionState, *, world: World, context: Context) -> Decision:
    run = live_run(own.session_id, world)
    if run is None:
        return _no_run(own)
    if own.interrupt is not None:
        return []
    refused = _unreachable(run) or _no_turn(run, own)
    if refused is not None:
        return refused
    return [
        InterruptRequested(
            session_id=own.session_id,
            interrupt_id=context.mint(InterruptId),
            run_id=run.run_id,
            turn=run.turns if run.is_in_turn else None,
            reason=command.reason,
        )
    ]


def _no_run(own: SessionState) -> Rejection:
    if own.status == "closed":
        return closed(own, "has no turn")
    return invalid(
        "no_live_run",
        f"session {own.session_id} has no live run, so there is no turn to interrupt",
        hint=f"mpctl session show {own.session_id}",
    )


def _unreachable(run: RunState) -> Rejection | None:
    hint = f"mpctl run stop {run.run_id}"
    if run.can is not None and "interrupt" not in run.can:
        return invalid(
            "cannot_interrupt",
            f"{run.agent.adapter} can't end a turn and stay, as run {run.run_id} was started",
            hint=f"{hint} ends it with its turn; mpctl run start --resume may carry its conversation on",
            run_id=run.run_id,
        )
    if run.status == "requested" or run.stop_requested:
        doing = "is being stopped" if run.stop_requested else "has not started yet"
        return invalid("no_turn", f"run {run.run_id} {doing}", hint=hint, run_id=run.run_id)
    return None


def _no_turn(run: RunState, own: SessionState) -> Rejection | None:
    if run.observed not in TAKES_TEXT:
        return None
    return invalid(
        "no_turn",
        f"session {own.session_id} is in no turn: its program was seen {run.observed}",
        hint=f"mpctl session explain {own.session_id} says on what evidence",
        run_id=run.run_id,
    )


def _report(command: ReportInterrupt, own: SessionState, *, world: World, now: Micros) -> Decision:
    """How far it came. Of one that is not on its way any more nothing is recorded."""
    interrupt = own.interrupt
    if interrupt is None or interrupt.interrupt_id != command.interrupt_id or interrupt.stage == "sent":
        return []
    session_id, interrupt_id = own.session_id, interrupt.interrupt_id
    evidence = command.evidence or "not said"
    match command.outcome:
        case "placed":
            placed = InterruptPlaced(session_id=session_id, interrupt_id=interrupt_id)
            return [] if interrupt.stage == "placed" else [placed]
        case "sent":
            due_at = to_timestamp(Micros(now + SEEN_S_MAX * 1_000_000))
            sent = InterruptSent(session_id=session_id, interrupt_id=interrupt_id, due_at=due_at)
            return [sent, *_seen_already(own, interrupt, world)]
        case "not_taken":
            return [not_taken(own, interrupt, evidence)]
        case "uncertain":
            return [uncertain(own, interrupt, evidence)]
        case _:
            assert_never(command.outcome)


def _seen_already(own: SessionState, interrupt: Interrupt, world: World) -> list[Event]:
    """The turn's end, where it was seen before it was known that the interrupt had gone in."""
    run = world.find(RunState, interrupt.run_id)
    if run is None or run.observed not in TAKES_TEXT:
        return []
    if run.said_upto > 0:  # had its program called that turn interrupted, nothing were left to settle
        return [not_taken(own, interrupt, "its turn ended by itself in the same moment")]
    evidence = f"its program was seen {run.observed}"
    return [interrupted(own, interrupt, rule="seen_at_rest", evidence=evidence)]


def _expire(command: FireInterruptDue, own: SessionState) -> Decision:
    interrupt = own.interrupt
    if interrupt is None or interrupt.interrupt_id != command.interrupt_id or interrupt.stage != "sent":
        return []
    evidence = f"it was sent, and within {SEEN_S_MAX} s no end of the turn was seen"
    return [uncertain(own, interrupt, evidence)]
