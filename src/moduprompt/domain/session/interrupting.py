"""How an interrupt of a session's turn ends: each of the three facts settles it, whoever finds out."""

from moduprompt.domain.decider import Event
from moduprompt.domain.session.events import InterruptNotTaken, InterruptUncertain, SessionInterrupted
from moduprompt.domain.session.state import Interrupt, SessionState
from moduprompt.protocol import REASON_MAX


def interrupted(own: SessionState, interrupt: Interrupt, *, rule: str, evidence: str) -> Event:
    """Its turn is over, and that was it."""
    return SessionInterrupted(
        session_id=own.session_id,
        interrupt_id=interrupt.interrupt_id,
        rule=rule,
        evidence=evidence[:REASON_MAX],
    )


def not_taken(own: SessionState, interrupt: Interrupt, evidence: str) -> Event:
    """Its turn ended, or goes on, without it."""
    return InterruptNotTaken(
        session_id=own.session_id, interrupt_id=interrupt.interrupt_id, evidence=evidence[:REASON_MAX]
    )


def uncertain(own: SessionState, interrupt: Interrupt, evidence: str) -> Event:
    """Nobody can say."""
    return InterruptUncertain(
        session_id=own.session_id, interrupt_id=interrupt.interrupt_id, evidence=evidence[:REASON_MAX]
    )
