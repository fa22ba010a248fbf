"""The behaviour matrix: what can happen to a program, and how its run ends then in our log. One table for all programs.

Each cell is played through the whole daemon (test_matrix.py). What is written here was judged, not copied: a row
says what a person would call true of that run, and `but` where a program gives no way to know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from signal import Signals
from typing import Final

from moduprompt.domain.run.events import RunToolEnded, RunTurnBegan
from tests.agents.cell import (
    ALL_FAILED,
    AS_KILLED,
    CALLED,
    DONE,
    FAILED_CALL,
    FINE,
    IN_A_CALL,
    INTERRUPTED,
    KILLED,
    LEFT_EARLY,
    PARKED,
    REFUSED_CALL,
    STOPPED,
    TIMED_OUT,
    UNTOLD,
    WROTE,
    Cell,
    Ends,
    Step,
    Target,
    failed,
    in_trouble,
)
from tests.support.told import OPEN, Told

WRITE: Final[Step] = {"write": {"path": "hello.txt", "content": "hi\n"}}
# Its tool stands in a session of its own, and nothing that is sent to the program's group reaches it.
IN_A_TOOL: Final[tuple[Step, ...]] = ({"bash": "touch begun && sleep 301"}, {"text": "late"})
SILENT: Final[Step] = {"text": "late", "sleep_s": 600}
BEGIN: Final[Step] = {"bash": "touch begun"}

# Nothing of a call is told by opencode before the whole step of its model is over.
LATE: Final[Mapping[str, Told]] = {"opencode": Told(turns=(OPEN,))}
OF_SIGNALS: Final[Mapping[Signals, Mapping[str, Ends]]] = {
    Signals.SIGINT: {
        "claude": INTERRUPTED,
        "codex": LEFT_EARLY,
        "gemini": LEFT_EARLY,
        "gemini --acp": LEFT_EARLY,
        "claude-agent-acp": LEFT_EARLY,
    },
    Signals.SIGTERM: {
        "claude": AS_KILLED,
        "gemini": LEFT_EARLY,
        "pi": AS_KILLED,
        **dict.fromkeys(("gemini --acp", "codex-acp", "claude-agent-acp"), LEFT_EARLY),
    },
    Signals.SIGKILL: {},
}

# A shell stands around codex-acp and does not mind: the agent goes on.
OF_THE_LEADER: Final[Mapping[Signals, Mapping[str, Ends]]] = {
    Signals.SIGINT: {},
    Signals.SIGTERM: {"codex-acp": FINE._replace(files=("begun",))},
    Signals.SIGKILL: {},
}


# What a program that catches a signal still gets said before it is gone is chance; that it has not done its work is not.
CAUGHT: Final = (INTERRUPTED, AS_KILLED, LEFT_EARLY)


def signalled(number: Signals, target: Target) -> Cell:
    """A signal from somebody else, while its tool works in a session of its own."""
    but = {**OF_SIGNALS[number], **(OF_THE_LEADER[number] if target == "leader" else {})}
    return Cell(
        name=f"{number.name} to {target} in a tool",
        steps=IN_A_TOOL,
        deed=(number, target),
        ends=KILLED,
        but=but,
        or_else={program: CAUGHT for program, ends in but.items() if ends in CAUGHT},
        tells=IN_A_CALL,
        but_tells=LATE,
    )


CELLS: Final = (
    Cell(
        name="it writes, and its command knows whose it is",
        steps=(WRITE, {"bash": "mpctl session show && touch known"}, {"text": "Done."}),
        ends=WROTE._replace(files=("hello.txt", "known")),
        tells=Told(turns=("done",), calls=("done", "done")),
    ),
    Cell(
        name="401",
        steps=({"status": 401},),
        ends=failed("auth_required"),
        tells=in_trouble("auth_required"),
        but={"pi": failed("auth_required", rule="turn_not_ended")},  # its last word is an attempt that failed
        but_tells={"pi": in_trouble("auth_required", turn=OPEN)},
    ),
    Cell(
        name="429 once, with retry-after",
        steps=({"status": 429, "retry_after_s": 1, "times": 1, "text": "fine"},),
        ends=FINE,
        but={"codex-acp": PARKED},  # it gives up at the first one
        tells=DONE,
        but_tells={
            "claude": DONE._replace(troubles=("rate_limited",)),
            "codex": DONE._replace(troubles=("rate_limited",)),
            "codex-acp": in_trouble("rate_limited"),
        },
    ),
    Cell(
        name="429 for ever",
        steps=({"status": 429},),
        ends=PARKED,
        tells=in_trouble("rate_limited"),
    ),
    Cell(
        name="500 for ever",
        steps=({"status": 500},),
        ends=failed("network"),
        tells=in_trouble("network"),
    ),
    Cell(
        name="500 once",
        steps=({"status": 500, "times": 1, "text": "fine"},),
        ends=FINE,
        tells=DONE,
        but_tells={"claude": DONE._replace(troubles=("network",))},
    ),
    Cell(
        name="a slow drip",
        steps=({"text": "one two three", "sleep_s": 1, "drip_s": 0.1},),
        ends=FINE,
        tells=DONE,
    ),
    Cell(
        name="a stream that is cut, each time",
        steps=({"text": "one two three four", "cut": True},),
        ends=failed("network"),
        tells=in_trouble("network"),
    ),
    Cell(
        name="a malformed call once",
        steps=({"bash": "true", "malformed": True, "times": 1}, {"text": "fine"}),
        ends=FINE,
        tells=FAILED_CALL,
        but_tells={
            "codex": DONE,
            "codex-acp": DONE,
            "gemini": CALLED,
            "gemini --acp": CALLED,
            "opencode": CALLED,
        },
    ),
    Cell(
        name="a tool that fails",
        steps=({"bash": "exit 3"}, {"text": "It failed."}),
        ends=FINE,
        # Of a tool that failed and one that was refused it tells the same.
        but={"codex": ALL_FAILED},
        tells=FAILED_CALL,
        but_tells={"gemini": CALLED, "gemini --acp": CALLED},  # that it failed stands in its words
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
            "gemini --acp": failed("permission_denied", rule="refused_and_nothing_done"),
            "codex-acp": failed("permission_denied", rule="refused_and_cancelled"),
            "claude-agent-acp": failed("permission_denied", rule="refused_and_nothing_done"),
        },
        or_else={"codex": (ALL_FAILED,)},  # now and then it tells us, too, that its patch was not applied
        tells=REFUSED_CALL,
        but_tells={
            "codex": DONE,
            "gemini": DONE,
            "pi": CALLED,
            "opencode": REFUSED_CALL._replace(turns=(OPEN,)),
            "codex-acp": REFUSED_CALL._replace(turns=("interrupted",)),
        },
    ),
    Cell(name="it is told nothing, and its input is closed", steps=None, ends=UNTOLD),
    Cell(
        name="stopped while it waits for its model",
        steps=(BEGIN, SILENT),
        deed="stop",
        deed_after=RunToolEnded,
        ends=STOPPED,
        tells=Told(turns=(OPEN,), calls=("done",)),
        but_tells=LATE,
    ),
    Cell(
        name="stopped in a tool",
        steps=IN_A_TOOL,
        deed="stop",
        ends=STOPPED,
        tells=IN_A_CALL,
        but_tells=LATE,
    ),
    signalled(Signals.SIGINT, "all"),
    signalled(Signals.SIGTERM, "all"),
    signalled(Signals.SIGKILL, "all"),
    signalled(Signals.SIGKILL, "leader"),
)
# Of an agent that stays for another prompt those in which its model fails, and those in which it doesn't.
NAMES_OF_FAULTS: Final = ("401", "429 for ever", "500 for ever", "a stream that is cut, each time")
FAULTS: Final = tuple(cell for cell in CELLS if cell.name in NAMES_OF_FAULTS)
WITHOUT_FAULTS: Final = tuple(cell for cell in CELLS if cell not in FAULTS and cell.steps is not None)
# What the programs do of themselves when their first process alone is told to leave: make matrix.
WIDE: Final = (signalled(Signals.SIGINT, "leader"), signalled(Signals.SIGTERM, "leader"))
UNANSWERED: Final = Cell(name="silence", steps=(SILENT,), ends=TIMED_OUT, tells=Told(turns=(OPEN,)))
GONE: Final = Cell(
    name="no server",
    steps=({"text": "unheard"},),
    ends=failed("network"),
    tells=in_trouble("network"),
    but={"codex": TIMED_OUT},
)

# aider says nothing to its model of tools, and edits by the text of an answer. It repeats a request for a minute.
EDIT: Final[Step] = {"notools": True, "text": "hello.txt\n```\nhi\n```\n"}
LEFT_WORK: Final = WROTE._replace(rule="left_work")
AIDER: Final = (
    Cell(name="it edits", steps=(EDIT,), ends=LEFT_WORK, tells=CALLED),
    Cell(
        name="it only talks",
        steps=({"notools": True, "text": "Nothing is to be done."},),
        ends=Ends("exited", "unclear", None, "left_nothing", task="failed as invalid_output"),
        tells=DONE,
    ),
    Cell(
        name="401",
        steps=({"notools": True, "status": 401},),
        ends=failed("auth_required", rule="words_of_trouble"),
        tells=in_trouble("auth_required", turn=OPEN),
    ),
    Cell(
        name="429 for ever",
        steps=({"notools": True, "status": 429},),
        ends=PARKED,
        tells=in_trouble("rate_limited", turn=OPEN),
    ),
    Cell(
        name="500 for ever",
        steps=({"notools": True, "status": 500},),
        ends=failed("network", rule="words_of_trouble"),
        tells=in_trouble("network", turn=OPEN),
    ),
    Cell(name="500 once", steps=({**EDIT, "status": 500, "times": 1},), ends=LEFT_WORK, tells=CALLED),
    Cell(
        name="a stream that is cut, each time",
        steps=({"notools": True, "text": "one two three four", "cut": True},),
        ends=failed("network", rule="words_of_trouble"),
        tells=in_trouble("network", turn=OPEN),
    ),
    Cell(
        name="stopped while it waits for its model",
        steps=({"notools": True, **SILENT},),
        deed="stop",
        deed_after=RunTurnBegan,
        ends=STOPPED._replace(files=()),
        tells=Told(turns=(OPEN,)),
    ),
)
AIDER_ENDED_BY_A_LIMIT: Final = (
    Cell(
        name="500 for ever",
        steps=({"notools": True, "status": 500},),
        ends=TIMED_OUT,
        tells=Told(turns=(OPEN,)),
    ),
    Cell(name="silence", steps=({"notools": True, **SILENT},), ends=TIMED_OUT, tells=Told(turns=(OPEN,))),
)
