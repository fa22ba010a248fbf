"""Sentences for what an agent program told of itself."""

from typing import Final, assert_never

from moduprompt.cli.live.text import plain
from moduprompt.cli.spending import in_dollars
from moduprompt.domain.run.events import (
    RunConversationNamed,
    RunLineSkipped,
    RunPermissionAsked,
    RunPermissionWithdrawn,
    RunPromptAwaited,
    RunToolCalled,
    RunToolEnded,
    RunTroubleObserved,
    RunTurnBegan,
    RunTurnEnded,
    RunUsageReported,
    ToldFact,
)

PATHS_TOLD: Final = 3  # of one call: a line has room for so many


def told_sentence(event: ToldFact) -> str:
    """What its program said."""
    match event:
        case RunConversationNamed():
            return "names its conversation"
        case RunPromptAwaited():
            return "is ready for its first prompt"
        case RunTurnBegan():
            return f"begins turn {event.turn}"
        case RunTurnEnded():
            why = f", {event.failure.value}" if event.failure else ""
            return f"ends turn {event.turn}: {event.how}{why}"
        case RunToolCalled():
            return f"calls {plain(event.tool)}{_on(event.paths)}"
        case RunToolEnded():
            return f"is through with a call: {event.how}"
        case RunUsageReported():
            return f"used {event.input_tokens} tokens in, {event.output_tokens} out{_for(event.cost_micros)}"
        case RunTroubleObserved():
            return f"is in trouble, {event.failure.value}{_then(event)}"
        case RunPermissionAsked():
            return f"asks to use {plain(event.tool)}"
        case RunPermissionWithdrawn():
            return "asks no more"
        case RunLineSkipped():
            return f"printed a line of {event.bytes} bytes, too long to be understood"
        case _:
            assert_never(event)


def _on(paths: tuple[str, ...]) -> str:
    if not paths:
        return ""
    more = f" and {len(paths) - PATHS_TOLD} more" if len(paths) > PATHS_TOLD else ""
    return " on " + ", ".join(plain(path) for path in paths[:PATHS_TOLD]) + more


def _for(cost_micros: int | None) -> str:
    return "" if cost_micros is None else f", {in_dollars(cost_micros)}"


def _then(event: RunTroubleObserved) -> str:
    if event.is_final:
        return ", and gives up"
    return "" if event.retry_after_s is None else f", and tries again in {event.retry_after_s} s"
