"""What a program says of itself leads to the observation that a person would make of it."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    PermissionAsked,
    PermissionOption,
    PermissionWithdrawn,
    PromptAwaited,
    Said,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.effects.runner.status.hearing import hear

DIGEST = "0" * 64
ASKED = PermissionAsked(
    request_id="r",
    tool="Bash",
    arguments_digest=DIGEST,
    options=(PermissionOption(id="1", kind="allow_once", label="Yes"),),
)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (TurnBegan(), "working"),
        (PromptAwaited(), "waiting_input"),
        (ToolCalled(call_id="c", tool="Bash", arguments_digest=DIGEST), "working"),
        (ToolEnded(call_id="c", how="refused"), "working"),
        (ASKED, "blocked_on_permission"),
        (PermissionWithdrawn(request_id="r"), "working"),
        (TurnEnded(how="failed", failure=FailureClass.NETWORK), "waiting_input"),
        (TroubleSeen(failure=FailureClass.NETWORK, message="no route"), None),
        (TroubleSeen(failure=FailureClass.RATE_LIMITED, message="429", retry_after_s=9), "rate_limited"),
        (UsageReported(input_tokens=1), None),
    ],
)
def test_what_is_said_tells_what_it_does(said: Said, status: str | None) -> None:
    seen = hear(said, takes_prompts=True)

    assert (seen.status if seen else None) == status


def test_a_turns_end_is_idle_where_no_further_prompt_is_taken() -> None:
    seen = hear(TurnEnded(how="done"), takes_prompts=False)

    assert seen is not None
    assert (seen.status, seen.rule) == ("idle", "said_turn_end")


def test_the_time_of_the_next_try_is_handed_on() -> None:
    seen = hear(
        TroubleSeen(failure=FailureClass.RATE_LIMITED, message="429", retry_after_s=9), takes_prompts=True
    )

    assert seen is not None
    assert seen.retry_after_s == 9
