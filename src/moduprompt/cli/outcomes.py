"""How it is told to a person what a run does or how it has ended: never a bare verdict."""

from typing import Final

from moduprompt.domain.run.state import LIVE
from moduprompt.domain.run.view import RunItem

UNSEEN: Final = "no rule has known yet what it does"
OWN_WORDS: Final = ("command", "scripted")  # their words name the program themselves


def outcome_told(run: RunItem) -> str | None:
    """Whether it did its job, on what evidence and by which rule; None where nobody could tell, or it runs."""
    if run.outcome is None:
        return None
    return f"{run.outcome}: {run.outcome_evidence} (rule {run.outcome_rule})"


def program_told(run: RunItem) -> str:
    """What was started: its command line, or the agent program with the words it was given."""
    words = run.argv if run.adapter in OWN_WORDS else (run.adapter, *run.argv)
    return " ".join(words) or run.adapter


def rule_told(run: RunItem) -> str | None:
    """The rule by which it was seen doing what it does; of one that has ended nothing: no rule sees an end."""
    return f"{run.rule} (version {run.rule_version})" if run.rule and run.status in LIVE else None


def evidence_told(run: RunItem) -> str | None:
    """What that rule saw, or why nobody knows how it ended."""
    if run.status == "started" and run.observed == "unknown" and run.evidence is None:
        return UNSEEN
    return run.evidence if run.status in (*LIVE, "lost") else None


def since_when(run: RunItem) -> str:
    """Since when it does what it does; of one that has ended, when it was last told of."""
    since = run.updated_at
    if run.status in LIVE:
        for seen in reversed(run.seen):
            if seen.status != run.observed:
                break
            since = seen.at
    return since
