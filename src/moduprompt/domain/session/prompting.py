"""Which orders about a session's prompts are taken, and what is recorded of their way.

Prompts keep their order. One can be taken back until it is placed: from then on its keys may have been
typed. What is uncertain is never typed again but by a person's own order, as a prompt of its own.
"""

from moduprompt.domain.decider import Context, Decision, World
from moduprompt.domain.session.budgets import spent_out
from moduprompt.domain.session.closed import closed
from moduprompt.domain.session.commands import (
    CancelPrompt,
    PromptSession,
    ReportPrompt,
    ReportPromptHeld,
    ReportTurn,
    ResendPrompt,
)
from moduprompt.domain.session.events import (
    PromptAccepted,
    PromptCancelled,
    PromptHeld,
    PromptPlaced,
    PromptSubmitted,
    PromptUncertain,
    TurnObserved,
)
from moduprompt.domain.session.state import Prompt, SessionState
from moduprompt.protocol import PromptId, Rejection, invalid

PROMPTS_MAX = 100  # waiting in one session; more is a loop talking to itself


def accept_prompt(command: PromptSession, own: SessionState, *, world: World, context: Context) -> Decision:
    """It waits behind those that came before. Whether it may steer was asked before (`domain/turns.py`)."""
    refused = _unfit(own, world)
    if refused is not None:
        return refused
    text = context.stored_text()
    return [
        PromptAccepted(
            session_id=own.session_id, prompt_id=context.mint(PromptId), prompt=text, steer=command.steer
        )
    ]


def cancel_prompt(command: CancelPrompt, own: SessionState) -> Decision:
    """Gone, as if it had never been said."""
    prompt = _waiting(command.prompt_id, own)
    if prompt is None:
        return _not_waiting(command.prompt_id, own)
    if prompt.is_placed:
        return invalid(
            "prompt_placed",
            f"prompt {prompt.prompt_id} is at the keyboard: keys of it may have been typed",
            hint=f"mpctl session interrupt {own.session_id} ends the turn that it begins",
            prompt_id=prompt.prompt_id,
        )
    return [
        PromptCancelled(session_id=own.session_id, prompt_id=prompt.prompt_id, reason=command.reason),
    ]


def resend_prompt(command: ResendPrompt, own: SessionState, *, world: World, context: Context) -> Decision:
    """The same text once more, behind those that wait."""
    doubtful = next((p for p in own.uncertain if p.prompt_id == command.prompt_id), None)
    if doubtful is None:
        return invalid(
            "prompt_not_uncertain",
            f"prompt {command.prompt_id} of session {own.session_id} is not uncertain",
            hint=f"mpctl session prompts {own.session_id}",
        )
    refused = _unfit(own, world)
    if refused is not None:
        return refused
    return [
        PromptAccepted(
            session_id=own.session_id,
            prompt_id=context.mint(PromptId),
            prompt=doubtful.text,
            resend_of=doubtful.prompt_id,
        )
    ]


def report_prompt(command: ReportPrompt, own: SessionState) -> Decision:
    """How far it came. Of one that is not on its way any more nothing is recorded."""
    prompt = _waiting(command.prompt_id, own)
    if prompt is None:
        return []
    if command.outcome == "placed":
        placed = PromptPlaced(session_id=own.session_id, prompt_id=prompt.prompt_id)
        return [] if prompt.is_placed else [placed]
    if command.outcome == "submitted":
        return [
            PromptSubmitted(
                session_id=own.session_id,
                prompt_id=prompt.prompt_id,
                run_id=command.run_id,
                output_bytes=command.output_bytes,
            )
        ]
    evidence = command.evidence or "not said"
    return [PromptUncertain(session_id=own.session_id, prompt_id=prompt.prompt_id, evidence=evidence)]


def hold_prompt(command: ReportPromptHeld, own: SessionState) -> Decision:
    """Why it waits, once for each reason."""
    prompt = _waiting(command.prompt_id, own)
    if prompt is None or (prompt.held_by, prompt.holder) == (command.by, command.user_id):
        return []
    return [
        PromptHeld(
            session_id=own.session_id,
            prompt_id=prompt.prompt_id,
            by=command.by,
            evidence=command.evidence,
            user_id=command.user_id,
        )
    ]


def observe_turn(command: ReportTurn, own: SessionState) -> Decision:
    """The last prompt that was typed has reached the program."""
    if own.submitted is None or own.submitted.prompt_id != command.prompt_id:
        return []
    return [
        TurnObserved(
            session_id=own.session_id,
            prompt_id=command.prompt_id,
            rule=command.rule,
            rule_version=command.rule_version,
            evidence=command.evidence,
        )
    ]


def _unfit(own: SessionState, world: World) -> Rejection | None:
    if own.status == "closed":
        return closed(own, "takes no prompt")
    if len(own.prompts) >= PROMPTS_MAX:
        return invalid(
            "prompt_queue_full",
            f"session {own.session_id} has {PROMPTS_MAX} prompts waiting",
            hint=f"mpctl session prompts {own.session_id} says what holds them",
        )
    return spent_out(own, world)


def _waiting(prompt_id: PromptId, own: SessionState) -> Prompt | None:
    return next((p for p in own.prompts if p.prompt_id == prompt_id), None)


def _not_waiting(prompt_id: PromptId, own: SessionState) -> Rejection:
    return invalid(
        "prompt_not_waiting",
        f"prompt {prompt_id} does not wait in session {own.session_id}",
        hint=f"mpctl session prompts {own.session_id}",
    )
