"""What a program told of itself while it ran, by the events of its run: in few words, to be compared with a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from moduprompt.domain.decider import Event
from moduprompt.domain.run.events import (
    RunExited,
    RunTold,
    RunToolCalled,
    RunToolEnded,
    RunTroubleObserved,
    RunTurnBegan,
    RunTurnEnded,
    RunUsageReported,
)

OPEN: Final = "open"  # how something ended of which it never said so
BEGUN: Final = "begun"  # where it is chance whether the end was still said


class Told(NamedTuple):
    """`turns` and `calls`: how each ended, in the order in which they began. `troubles`: their classes, each once."""

    turns: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    tells_tokens: bool = False

    def but_for_ends(self) -> Told:
        """Of a program that somebody ended: what it had begun."""
        return Told(turns=(BEGUN,) * len(self.turns), calls=(BEGUN,) * len(self.calls))


def told_by(events: Sequence[Event]) -> Told:
    """Of one run. Fails where the order of its events can't be: places that fall, or words after the end."""
    told = [each for each in events if isinstance(each, RunTold)]
    places = [each.upto for each in told]
    assert all(earlier <= later for earlier, later in pairwise(places)), f"places fall: {places}"
    ends = [number for number, each in enumerate(events) if isinstance(each, RunExited)]
    after = [each for end in ends for each in events[end:] if isinstance(each, RunTold)]
    assert after == [], "it told something after its end"
    turns: dict[int, str] = {}
    calls: dict[str, str] = {}
    troubles: dict[str, None] = {}
    tokens = 0
    for each in told:
        match each:
            case RunTurnBegan():
                turns[each.turn] = OPEN
            case RunTurnEnded():
                turns[each.turn] = each.how
            case RunToolCalled():
                calls[each.call_id] = OPEN
            case RunToolEnded():
                calls[each.call_id] = each.how
            case RunTroubleObserved():
                troubles[each.failure.value] = None
            case RunUsageReported():
                tokens += each.input_tokens + each.output_tokens
            case _:
                pass
    return Told(tuple(turns.values()), tuple(calls.values()), tuple(troubles), tokens > 0)
