"""How it is told to a person what a run does or how it has ended: never a bare verdict."""

from typing import Final

from moduprompt.domain.run.view import RunItem

LIVE: Final = ("requested", "started")


def outcome_told(run: RunItem) -> str | None:
    """Whether it did its job, on what evidence and by which rule; None where nobody could tell, or it runs."""
    if run.outcome is None:
        return None
    return f"{run.outcome}: {run.outcome_evidence} (rule {run.outcome_rule})"


def since_when(run: RunItem) -> str:
    """Since when it does what it does; of one that has ended, when it was last told of."""
    since = run.updated_at
    if run.status in LIVE:
        for seen in reversed(run.seen):
            if seen.status != run.observed:
                break
            since = seen.at
    return since
