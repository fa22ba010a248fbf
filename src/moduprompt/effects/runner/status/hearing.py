"""What a program is doing, from what it says itself: better than any look at its screen.

For programs of the levels `control`, `acp` and `json`. Each thing that is said leads to at most one
observation; what tells nothing about the state (usage, a name) leads to none. Pure.
"""

from typing import Final

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ObservedStatus
from moduprompt.domain.run.said import (
    PermissionAsked,
    PermissionWithdrawn,
    PromptAwaited,
    PromptTaken,
    Said,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
)
from moduprompt.effects.runner.status.facts import Seen

VERSION: Final = 1
LIMITS: Final = frozenset({FailureClass.RATE_LIMITED, FailureClass.QUOTA_EXHAUSTED})


def hear(said: Said, *, takes_prompts: bool) -> Seen | None:
    """The observation that follows. `takes_prompts`: after a turn the program takes another prompt."""
    match said:
        case TurnBegan() | PromptTaken():
            return _seen("working", "said_turn", "it began a turn")
        case PromptAwaited() if takes_prompts:
            return _seen("waiting_input", "said_ready", "it is ready, and was told nothing yet")
        case ToolCalled():
            return _seen("working", "said_tool", f"it calls {said.tool}")
        case ToolEnded():
            return _seen("working", "said_tool", f"call {said.call_id}: {said.how}")
        case PermissionAsked():
            return _seen("blocked_on_permission", "said_permission", f"it asks to use {said.tool}")
        case PermissionWithdrawn():
            return _seen("working", "said_permission", "it wants no answer any more")
        case TroubleSeen() if said.failure in LIMITS:
            return _seen(
                "rate_limited",
                "said_limit",
                f"it says {said.failure.value}",
                retry_after_s=said.retry_after_s,
            )
        case TurnEnded():
            status: ObservedStatus = "waiting_input" if takes_prompts else "idle"
            return _seen(status, "said_turn_end", f"its turn is {said.how}")
        case _:
            return None


def _seen(status: ObservedStatus, rule: str, evidence: str, *, retry_after_s: int | None = None) -> Seen:
    return Seen(
        status=status, rule=rule, rule_version=VERSION, evidence=evidence, retry_after_s=retry_after_s
    )
