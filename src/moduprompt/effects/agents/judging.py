"""Rules for verdicts that several adapters share. An adapter whose program lies in a way of its own has its own.

The order is always the same: what stopped the run from outside, what the program said itself, what
it left behind; its exit code comes last, and decides alone only for a program that says nothing.
"""

from moduprompt.domain.failures import FailureClass
from moduprompt.effects.agents.port import End, Verdict


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
    if said.is_in_turn or said.last_turn is None:
        failure = said.last_trouble.failure if said.last_trouble else FailureClass.INVALID_OUTPUT
        evidence = f"it exited with {end.code} and never said how its turn ended"
        return Verdict(outcome="failed", failure=failure, rule="turn_not_ended", evidence=evidence)
    if said.last_turn.how != "done":
        trouble = said.last_trouble.failure if said.last_trouble else None
        return Verdict(
            outcome="failed",
            failure=said.last_turn.failure or trouble or FailureClass.INTERNAL,
            rule="turn_failed",
            evidence=f"its last turn was {said.last_turn.how}; it exited with {end.code}",
        )
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


def _left_something(end: End) -> bool:
    return end.work is not None and (end.work.has_changes or end.work.has_commits)


def _remains(end: End) -> str:
    if end.work is None:
        return ""
    if end.work.has_commits:
        return ", with commits"
    return ", with changes that are not committed" if end.work.has_changes else ", and nothing was changed"
