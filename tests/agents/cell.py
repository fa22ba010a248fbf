"""What a cell of the behaviour matrix is made of: what happens to a program, how its run ends, and what it told."""

from __future__ import annotations

from collections.abc import Mapping
from signal import Signals
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from moduprompt.domain.run.events import RunToolCalled, RunToolEnded, RunTurnBegan
from tests.support.told import OPEN, Told

Step: TypeAlias = Mapping[str, object]
Target: TypeAlias = Literal["leader", "all"]
# Of the others every turn that was done says how many it used.
TELL_NO_TOKENS: Final = frozenset({"codex-acp"})


class Ends(NamedTuple):
    """How a run ended: by its event, by its task, and what it had put into its worktree."""

    how: str
    outcome: str
    failure: str | None
    rule: str
    task: str
    files: tuple[str, ...] = ()


class Played(NamedTuple):
    """How a run ended, and what its program had told until then."""

    ends: Ends
    told: Told


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What happens, how that ends, and what the program tells while it does.

    `but`, `but_tells`: of programs where it is otherwise; `or_else`: where that is chance.
    """

    name: str
    steps: tuple[Step, ...] | None  # None: it is not told anything
    ends: Ends
    tells: Told = Told()
    but_tells: Mapping[str, Told] = {}
    but: Mapping[str, Ends] = {}
    or_else: Mapping[str, tuple[Ends, ...]] = {}
    may: Literal["all", "ask"] = "all"
    deed: Literal["stop"] | tuple[Signals, Target] | None = None
    # What the log must have heard of it before the deed is done.
    deed_after: type[RunToolCalled | RunToolEnded | RunTurnBegan] = RunToolCalled

    def as_it_should(self, program: str, *, seen: Played) -> Played:
        """How it goes for this program; what was seen, where that is as good."""
        if seen.ends in self.or_else.get(program, ()):
            return seen
        ends, told = self.but.get(program, self.ends), self.but_tells.get(program, self.tells)
        if (
            self.deed is not None or ends.task == "parked" or ends == TIMED_OUT
        ):  # somebody ended it: the rest is chance
            is_as_told = seen.told.but_for_ends() == told.but_for_ends()
            return Played(ends, seen.told if is_as_told else told)
        is_done = told.turns[-1:] == ("done",)
        tells_tokens = program not in TELL_NO_TOKENS if is_done else seen.told.tells_tokens
        return Played(ends, told._replace(tells_tokens=tells_tokens))


def failed(failure: str, *, rule: str = "turn_failed", files: tuple[str, ...] = ()) -> Ends:
    """A failure that fails its task."""
    return Ends("exited", "failed", failure, rule, task=f"failed as {failure}", files=files)


FINE: Final = Ends("exited", "succeeded", None, "turn_done", task="running")
WROTE: Final = FINE._replace(files=("hello.txt",))
UNTOLD: Final = failed("invalid_output", rule="turn_not_ended")
# Its task waits: who stopped the run says what becomes of it.
STOPPED: Final = Ends("stopped", "failed", None, "stopped", task="running", files=("begun",))
KILLED: Final = Ends("signalled", "failed", None, "signalled", task="failed as signalled", files=("begun",))
AS_KILLED: Final = failed("signalled", rule="turn_not_ended", files=("begun",))
ALL_FAILED: Final = Ends("exited", "unclear", None, "every_tool_failed", task="failed as invalid_output")
EITHER: Final = "either"
# The same attempt goes on later. Whether the program left by itself before it was stopped is chance, and both are true.
PARKED: Final = Ends(EITHER, "failed", "rate_limited", EITHER, task="parked")
INTERRUPTED: Final = failed("cancelled", files=("begun",))
TIMED_OUT: Final = Ends("timed_out", "failed", None, "timed_out", task="failed as timeout")
LEFT_EARLY: Final = UNTOLD._replace(files=("begun",))

DONE: Final = Told(turns=("done",))
CALLED: Final = Told(turns=("done",), calls=("done",))
FAILED_CALL: Final = Told(turns=("done",), calls=("failed",))
REFUSED_CALL: Final = Told(turns=("done",), calls=("refused",))
IN_A_CALL: Final = Told(turns=(OPEN,), calls=(OPEN,))


def in_trouble(failure: str, *, turn: str = "failed") -> Told:
    """A turn in which nothing came of it."""
    return Told(turns=(turn,), troubles=(failure,))
