"""What people see of a run's turns: when each began and ended, how, and what it took."""

from typing import Final

import msgspec
from msgspec.structs import replace

from moduprompt.domain.decider import Event
from moduprompt.domain.run.events import (
    RunExited,
    RunLost,
    RunToolCalled,
    RunTurnBegan,
    RunTurnEnded,
    RunUsageReported,
)
from moduprompt.domain.run.usage import Usage, summed

TURNS_SHOWN: Final = 20  # the last ones of a run; the log has them all

TURN_FACTS: Final = (RunTurnBegan, RunTurnEnded, RunToolCalled, RunUsageReported, RunExited, RunLost)


class TurnItem(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. `how` is None while it goes on; `cut_off`: the run ended before it did."""

    turn: int
    began_at: str | None = None
    ended_at: str | None = None
    how: str | None = None
    failure: str | None = None
    tools: int = 0
    usage: Usage = Usage()


def with_turn(turns: tuple[TurnItem, ...], event: Event, *, at: str) -> tuple[TurnItem, ...]:
    """The turns after a fact; what is used between two turns belongs to the one before."""
    match event:
        case RunTurnBegan():
            return (*turns, TurnItem(turn=event.turn, began_at=at))[-TURNS_SHOWN:]
        case RunTurnEnded():
            ended = replace(
                _last(turns),
                ended_at=at,
                how=event.how,
                failure=event.failure.value if event.failure else None,
            )
            return (*turns[:-1], ended)
        case RunToolCalled():
            last = _last(turns)
            return (*turns[:-1], replace(last, tools=last.tools + 1))
        case RunUsageReported():
            last = _last(turns)
            return (*turns[:-1], replace(last, usage=summed(last.usage, event)))
        case RunExited() | RunLost():
            if not turns or turns[-1].how is not None:
                return turns
            return (*turns[:-1], replace(turns[-1], ended_at=at, how="cut_off"))
        case _:
            return turns


def _last(turns: tuple[TurnItem, ...]) -> TurnItem:
    # A program may use something before it says that a turn began: that is turn 0.
    return turns[-1] if turns else TurnItem(turn=0)
