"""Rules for verdicts that several adapters share. An adapter whose program lies in a way of its own has its own.

The order is always the same: what stopped the run from outside, what the program said itself, what
it left behind; its exit code comes last, and decides alone only for a program that says nothing.
"""

from collections.abc import Mapping
from signal import Signals
from types import MappingProxyType
from typing import Final

from moduprompt.domain.failures import FailureClass
from moduprompt.effects.agents.port import End, Verdict

RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "turn_done": "succeeded: its last turn ended well, by its own word, and so did the process",
        "turn_failed": "failed: its last turn failed; the class comes from the status or the words of its error",
        "turn_not_ended": "failed: it exited and never said how its turn ended",
        "refused_and_nothing_done": "failed: its turn was done, but tools were refused and nothing was changed",
        "refused_and_not_looked": "unclear: tools were refused, and nobody could look what was done",
        "stopped_at_a_refusal": "failed: it stopped at a tool that it was not allowed",
        "every_tool_failed": "unclear: its turn was done, but every tool failed and nothing was changed",
        "refused_and_cancelled": "failed: a tool was refused, and the program gave its turn up",
        "done_but_exit_code": "unclear: its turn was done, but it exited with a failure",
        "words_of_trouble": "failed: it told of trouble, and no answer of its model came after that",
        "left_work": "succeeded: it told of no trouble and left changes or commits",
        "left_nothing": "unclear: it told of no trouble, and nothing was left, or nobody could look",
        "exit_code": "succeeded with 0, failed with anything else: it says nothing that could be read",
        "stopped": "failed: somebody stopped it",
        "timed_out": "failed: a limit of time ended it",
        "signalled": "failed: a signal that was not ours ended it",
        "not_started": "failed: it never started",
    }
)
"""Every rule that a verdict may name, and what it concludes."""

FROM_OUTSIDE: Final = ("stopped", "timed_out", "signalled", "not_started")
EXIT_CODE_RULES: Final = ("exit_code", *FROM_OUTSIDE)
TURN_RULES: Final = (
    "turn_done",
    "turn_failed",
    "turn_not_ended",
    "refused_and_nothing_done",
    "refused_and_not_looked",
    "done_but_exit_code",
    *FROM_OUTSIDE,
)

# What a program exits with that caught one of these and left: claude and pi do.
OF_SIGNALS: Final = frozenset(
    128 + number for number in (Signals.SIGHUP, Signals.SIGINT, Signals.SIGQUIT, Signals.SIGTERM)
)


def ended_from_outside(end: End) -> Verdict | None:
    """The verdict on a run that somebody stopped, or a limit; None where it ended by itself."""
    match end.how:
        case "stopped":
            return Verdict(
                outcome="failed", failure=FailureClass.CANCELLED, rule="stopped", evidence="it was stopped"
            )
        case "timed_out":
            return Verdict(
                outcome="failed", failure=FailureClass.TIMEOUT, rule="timed_out", evidence="its time was up"
            )
        case "signalled":
            return Verdict(
                outcome="failed",
                failure=FailureClass.SIGNALLED,
                rule="signalled",
                evidence=f"signal {end.signal} ended it",
            )
        case "not_started":
            return Verdict(
                outcome="failed",
                failure=FailureClass.SPAWN_FAILED,
                rule="not_started",
                evidence="it never started",
            )
        case "exited":
            return None


def by_exit_code(end: End) -> Verdict:
    """For programs that say nothing we could read: zero is success, since that is all there is."""
    outside = ended_from_outside(end)
    if outside is not None:
        return outside
    if end.code == 0:
        return Verdict(outcome="succeeded", rule="exit_code", evidence="it exited with 0")
    return Verdict(
        outcome="failed",
        failure=FailureClass.EXIT_NONZERO,
        rule="exit_code",
        evidence=f"it exited with {end.code}",
    )


def by_turn_and_work(end: End) -> Verdict:
    """For programs that tell how each turn ended: the last turn and the worktree must agree.

    A turn that is said to be done, while tools were refused and nothing was left in the worktree, is
    no success: headless programs exit with 0 when they were not allowed to work.
    """
    outside = ended_from_outside(end)
    if outside is not None:
        return outside
    said = end.said
    undone = _undone(end)
    if undone is not None:
        return undone
    if said.tools_refused and end.work is None:
        return Verdict(
            outcome="unclear",
            rule="refused_and_not_looked",
            evidence=f"{said.tools_refused} tool calls were refused, and nobody looked what was done",
        )
    if said.tools_refused and not _left_something(end):
        return Verdict(
            outcome="failed",
            failure=FailureClass.PERMISSION_DENIED,
            rule="refused_and_nothing_done",
            evidence=f"{said.tools_refused} tool calls were refused and nothing was changed",
        )
    if end.code != 0:
        return Verdict(
            outcome="unclear",
            rule="done_but_exit_code",
            evidence=f"its turn was done, but it exited with {end.code}",
        )
    return Verdict(outcome="succeeded", rule="turn_done", evidence=f"its turn was done{_remains(end)}")


def _undone(end: End) -> Verdict | None:
    """The verdict where the last turn was not done, by the program's own word; None where it was."""
    said = end.said
    trouble = said.last_trouble.failure if said.last_trouble else None
    if said.is_in_turn or said.last_turn is None:
        untold = FailureClass.SIGNALLED if end.code in OF_SIGNALS else FailureClass.INVALID_OUTPUT
        evidence = f"it exited with {end.code} and never said how its turn ended"
        return Verdict(outcome="failed", failure=trouble or untold, rule="turn_not_ended", evidence=evidence)
    if said.last_turn.how == "done":
        return None
    is_interrupted = said.last_turn.how == "interrupted"
    told = FailureClass.CANCELLED if is_interrupted else said.last_turn.failure or trouble
    return Verdict(
        outcome="failed",
        failure=told or FailureClass.INTERNAL,
        rule="turn_failed",
        evidence=f"its last turn was {said.last_turn.how}; it exited with {end.code}",
    )


def _left_something(end: End) -> bool:
    return end.work is not None and (end.work.has_changes or end.work.has_commits)


def _remains(end: End) -> str:
    if end.work is None:
        return ""
    if end.work.has_commits:
        return ", with commits"
    return ", with changes that are not committed" if end.work.has_changes else ", and nothing was changed"
