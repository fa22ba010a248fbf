"""The behaviour matrix: what can happen to a program, and how its run ends then in our log. One table for all programs.

Each cell is played through the whole daemon (test_matrix.py). What is written here was judged, not copied: a row
says what a person would call true of that run, and `but` where a program gives no way to know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from signal import Signals
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

Step: TypeAlias = Mapping[str, object]
Target: TypeAlias = Literal["leader", "all"]


class Ends(NamedTuple):
    """How a run ended: by its event, by its task, and what it had put into its worktree."""

    how: str
    outcome: str
    failure: str | None
    rule: str
    task: str
    files: tuple[str, ...] = ()


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What happens, and how that ends. `but`: of programs where it ends otherwise; `or_else`: where that is chance."""

    name: str
    steps: tuple[Step, ...] | None  # None: it is not told anything
    ends: Ends
    but: Mapping[str, Ends] = {}
    or_else: Mapping[str, Ends] = {}
    may: Literal["all", "ask"] = "all"
    deed: Literal["stop"] | tuple[Signals, Target] | None = None  # done to it as soon as it has begun

    def ends_of(self, program: str, *, seen: Ends) -> Ends:
        """How it ends for this program; what was seen, where that is as good."""
        return seen if seen == self.or_else.get(program) else self.but.get(program, self.ends)


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

WRITE: Final[Step] = {"write": {"path": "hello.txt", "content": "hi\n"}}
# Its tool stands in a session of its own, and nothing that is sent to the program's group reaches it.
IN_A_TOOL: Final[tuple[Step, ...]] = ({"bash": "touch begun && sleep 301"}, {"text": "late"})
SILENT: Final[Step] = {"text": "late", "sleep_s": 600}
BEGIN: Final[Step] = {"bash": "touch begun"}

OF_SIGNALS: Final[Mapping[Signals, Mapping[str, Ends]]] = {
    Signals.SIGINT: {"claude": INTERRUPTED, "codex": LEFT_EARLY, "gemini": LEFT_EARLY},
    Signals.SIGTERM: {"claude": AS_KILLED, "gemini": LEFT_EARLY, "pi": AS_KILLED},
    Signals.SIGKILL: {},
}


def signalled(number: Signals, target: Target) -> Cell:
    """A signal from somebody else, while its tool works in a session of its own."""
    return Cell(
        name=f"{number.name} to {target} in a tool",
        steps=IN_A_TOOL,
        deed=(number, target),
        ends=KILLED,
        but=OF_SIGNALS[number],
    )


CELLS: Final = (
    Cell(
        name="it writes, and its command knows whose it is",
        steps=(WRITE, {"bash": "mpctl session show && touch known"}, {"text": "Done."}),
        ends=WROTE._replace(files=("hello.txt", "known")),
    ),
    Cell(
        name="401",
        steps=({"status": 401},),
        ends=failed("auth_required"),
        but={"pi": failed("auth_required", rule="turn_not_ended")},  # its last word is an attempt that failed
    ),
    Cell(
        name="429 once, with retry-after",
        steps=({"status": 429, "retry_after_s": 1, "times": 1, "text": "fine"},),
        ends=FINE,
    ),
    Cell(name="429 for ever", steps=({"status": 429},), ends=PARKED),
    Cell(name="500 for ever", steps=({"status": 500},), ends=failed("network"), but={"opencode": TIMED_OUT}),
    Cell(name="500 once", steps=({"status": 500, "times": 1, "text": "fine"},), ends=FINE),
    Cell(name="a slow drip", steps=({"text": "one two three", "sleep_s": 1, "drip_s": 0.1},), ends=FINE),
    Cell(
        name="a stream that is cut, each time",
        steps=({"text": "one two three four", "cut": True},),
        ends=failed("network"),
        but={"opencode": TIMED_OUT},
    ),
    Cell(
        name="a malformed call once",
        steps=({"bash": "true", "malformed": True, "times": 1}, {"text": "fine"}),
        ends=FINE,
    ),
    Cell(
        name="a tool that fails",
        steps=({"bash": "exit 3"}, {"text": "It failed."}),
        ends=FINE,
        # Of a tool that failed and one that was refused it tells the same.
        but={"codex": ALL_FAILED},
    ),
    Cell(
        name="it may not write unasked",
        steps=(WRITE, {"text": "Done."}),
        may="ask",
        ends=failed("permission_denied", rule="stopped_at_a_refusal"),
        but={
            "claude": failed("permission_denied", rule="refused_and_nothing_done"),
            # They refuse by words to their model, which says that it is done: see docs/agents.md.
            "codex": FINE,
            "gemini": FINE,
            "pi": WROTE,  # it has no permissions
        },
        or_else={"codex": ALL_FAILED},  # now and then it tells us, too, that its patch was not applied
    ),
    Cell(name="it is told nothing, and its input is closed", steps=None, ends=UNTOLD),
    Cell(name="stopped while it waits for its model", steps=(BEGIN, SILENT), deed="stop", ends=STOPPED),
    Cell(name="stopped in a tool", steps=IN_A_TOOL, deed="stop", ends=STOPPED),
    signalled(Signals.SIGINT, "all"),
    signalled(Signals.SIGTERM, "all"),
    signalled(Signals.SIGKILL, "all"),
    signalled(Signals.SIGKILL, "leader"),
)
# What the programs do of themselves when their first process alone is told to leave: make matrix.
WIDE: Final = (signalled(Signals.SIGINT, "leader"), signalled(Signals.SIGTERM, "leader"))
UNANSWERED: Final = Cell(name="silence", steps=(SILENT,), ends=TIMED_OUT)
GONE: Final = Cell(
    name="no server",
    steps=({"text": "unheard"},),
    ends=failed("network"),
    but={"codex": TIMED_OUT, "opencode": TIMED_OUT},
)
