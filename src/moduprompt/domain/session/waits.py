"""What a session may wait for before its next run begins by itself: its branch, and room in a budget."""

from moduprompt.domain.decider import Event
from moduprompt.domain.session.events import SessionBranchGiven, SessionBudgetGiven
from moduprompt.domain.session.state import SessionState


def waits_no_more(session: SessionState) -> list[Event]:
    """It waits for nothing of that: its run begins, or is not wanted any more."""
    facts: list[Event] = []
    if session.waiting is not None:
        facts.append(SessionBranchGiven(session_id=session.session_id))
    if session.unfunded is not None:
        facts.append(SessionBudgetGiven(session_id=session.session_id))
    return facts
